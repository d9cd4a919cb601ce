internal import CKernel
internal import Logging
internal import Memory
internal import Proxy
internal import Reactor
internal import Registration
internal import Routing

extension ControlThread {
    /// Does everything that can fail: control addresses, rings, threads. Reactors run when it returns; services are
    /// accepted by `serve`. Has to be called once, on the thread that will serve, before there are other threads.
    /// - Parameter settings: checked.
    /// - Throws: a sentence for the operator, with an exit code.
    public static func start(_ settings: Settings) throws(StartFailure) -> ControlThread {
        if !settings.allowsCoreDumps { ck_forbid_core_dumps() }
        try startTLS(settings)
        let log = Logger(label: "socketmaster") { _ in StandardErrorLog(level: settings.logLevel.level) }
        let reactors = settings.reactorCount
        let budget = try DescriptorBudget(
            limit: Int(clamping: ck_raise_descriptor_limit()), settings: settings, reactors: reactors)
        let signals = OwnedDescriptor(try required(ck_signal_descriptor(), "a descriptor for signals"))
        let sockets = try bind(settings.controlAddresses)
        let features = try RingFeatures.probed()

        let limits = settings.dataPlaneLimits(budget, now: Sockets.nowMilliseconds())
        let hashSeed = ck_random()
        let publisher = SnapshotPublisher(
            reactors: reactors, first: SnapshotBuilder.build(generation: 1, listeners: [], hashSeed: hashSeed))
        let dataPlane = try makeDataPlane(
            limits, publisher.mailboxes, processors: settings.pinsReactors ? KernelText.processors : [])
        let epoll = try makeEpoll(signals, bell: dataPlane.plane.controlBell.fd, sockets)

        logStart(log, sockets, limits, budget, features, isPinned: settings.pinsReactors)
        logPipes(log, dataPlane.pipes, limits)
        try startThreads(of: dataPlane)
        return ControlThread(
            settings: settings, log: log, dataPlane: dataPlane, publisher: publisher, hashSeed: hashSeed, epoll: epoll,
            signals: signals, controlSockets: sockets, pending: budget.pending)
    }

    private static func bind(_ addresses: [ControlAddress]) throws(StartFailure) -> [ControlSocket] {
        var sockets: [ControlSocket] = []
        for address in addresses { sockets.append(try ControlSocket(address)) }
        return sockets
    }

    private static func makeDataPlane(
        _ limits: DataPlaneLimits, _ mailboxes: [SnapshotMailbox], processors: [Int]
    ) throws(StartFailure) -> DataPlane {
        var limits = limits
        limits.loopMark = max(1, ck_random())
        guard let plane = Plane(limits: limits, mailboxes: mailboxes) else {
            throw StartFailure(.system, "There are no descriptors for \(limits.reactors) reactors; raise ulimit -n.")
        }
        do {
            return try DataPlane(plane: plane, seed: ck_random(), processors: processors)
        } catch {
            throw StartFailure(error, reactors: limits.reactors)
        }
    }

    private static func startThreads(of dataPlane: DataPlane) throws(StartFailure) {
        do {
            try dataPlane.start()
        } catch {
            let cause = KernelText.error(error.number)
            throw StartFailure(
                .system,
                "There is no thread for reactor \(error.reactor): \(cause); raise ulimit -u, or lower --reactors.")
        }
    }

    private static func makeEpoll(
        _ signals: OwnedDescriptor, bell: Int32, _ sockets: [ControlSocket]
    ) throws(StartFailure) -> Epoll {
        do {
            let epoll = try Epoll()
            try epoll.add(signals.fd, .signals)
            try epoll.add(bell, .bell)
            for (index, socket) in sockets.enumerated() { try epoll.add(socket.fd, .controlSocket(index: index)) }
            return epoll
        } catch {
            throw StartFailure(.system, "The kernel gives no epoll descriptor: \(KernelText.error(error.number)).")
        }
    }

    private static func required(_ result: Int32, _ what: String) throws(StartFailure) -> Int32 {
        guard result >= 0 else {
            throw StartFailure(.system, "The kernel gives no \(what): \(KernelText.error(result)).")
        }
        return result
    }

    private static func logPipes(_ log: Logger, _ made: Int, _ limits: DataPlaneLimits) {
        let wanted = limits.pipes * limits.reactors
        guard wanted > 0 else { return log.notice("bulk is copied (--no-splice)") }
        let size = ByteCount(bytes: limits.pipeBytes)
        log.notice("bulk goes through \(counted(made, "pipe")) of \(size)")
        guard made < wanted else { return }
        let cause = "the kernel gives a user without CAP_SYS_RESOURCE no more (fs.pipe-user-pages-soft)"
        log.warning("that is fewer than \(wanted): \(cause); bulk that finds no pipe is copied")
    }

    /// A line for everything that an operator wants to know when something is wrong later.
    private static func logStart(
        _ log: Logger, _ sockets: [ControlSocket], _ limits: DataPlaneLimits, _ budget: DescriptorBudget,
        _ features: RingFeatures, isPinned: Bool
    ) {
        log.notice("socketmaster \(Version.text)")
        for socket in sockets {
            log.notice("control address \(socket.address)\(socket.isIPv4Only ? ListenerSockets.ipv4Only : "")")
            if socket.address.isPublic {
                log.warning("any machine that reaches \(socket.address) may register and take over ports of this one")
            }
        }
        log.notice("\(counted(limits.reactors, "reactor"))\(isPinned ? ", each on a processor of its own" : "")")
        log.notice("kernel \(KernelText.release): \(features)")
        log.notice("\(tlsDescription)")
        let memory = ByteCount(bytes: limits.memoryOfProcess)
        let buffers = ByteCount(bytes: limits.bufferBytes)
        let tls = ByteCount(bytes: limits.tlsMemoryBound)
        let parts = "of it \(buffers.rounded) and a quarter for bytes that wait; \(tls.rounded) more if all come by TLS"
        log.notice("memory at most \(memory.rounded), \(parts)")
        if let present = KernelText.physicalMemory, memory.bytes + tls.bytes > present {
            let machine = ByteCount(bytes: present).rounded
            log.warning(
                "this machine has \(machine) of memory, less than that; lower --buffer-limit or --max-connections")
        }
        log.notice("descriptors \(budget)")
    }
}
