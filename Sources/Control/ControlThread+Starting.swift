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
        if let (name, error) = KernelText.refusedCall { throw StartFailure(refusedCall: name, error: error) }
        let passed = try PassedSockets.take()
        let surroundings = Surroundings.current
        let settings = settings.fitted(to: surroundings)
        let dumps = settings.allowsCoreDumps ? 0 : ck_forbid_core_dumps()
        try startTLS(settings)
        let log = Logger(label: "socketmaster") { _ in StandardErrorLog(level: settings.logLevel.level) }
        let budget = try DescriptorBudget(
            limit: Int(clamping: ck_raise_descriptor_limit()) - passed.count, settings: settings,
            reactors: settings.reactors ?? 1)
        let limits = settings.dataPlaneLimits(budget, now: Sockets.nowMilliseconds())
        try AddressSpace.check(limits)
        let signals = OwnedDescriptor(try required(ck_signal_descriptor(), "signals"))
        let sockets = try controlSockets(passed, settings.controlAddresses)
        let metricsSocket = try settings.metricsAddress.map { (address) throws(StartFailure) in try address.listen() }
        let features = try RingFeatures.probed(for: limits)

        let hashSeed = ck_random()
        let publisher = SnapshotPublisher(
            reactors: limits.reactors,
            first: SnapshotBuilder.build(generation: 1, listeners: [], hashSeed: hashSeed))
        let pinning = settings.pinsReactors ? Threads.pinningRefusal : 0
        let isPinned = settings.pinsReactors && pinning == 0
        let dataPlane = try makeDataPlane(
            limits, publisher.mailboxes, processors: isPinned ? KernelText.processors : [])
        let epoll = try makeEpoll(signals, bell: dataPlane.plane.controlBell.fd, sockets)

        logStart(log, sockets, limits, budget, features, surroundings, isPinned: isPinned)
        logPipes(log, dataPlane.pipes, limits)
        logRefusals(log, pinning: pinning, dumps: dumps)
        let control = ControlThread(
            settings: settings, log: log, dataPlane: dataPlane, publisher: publisher, hashSeed: hashSeed, epoll: epoll,
            signals: signals, controlSockets: sockets, pending: budget.pending,
            manager: ServiceManager(KernelText.environment))
        control.metricsSocket = metricsSocket
        control.logMetrics()
        try control.startThreads()
        return control
    }

    /// Those that were passed, and those of the flags. Without either there is the usual one.
    private static func controlSockets(
        _ passed: [OwnedDescriptor], _ asked: [ControlAddress]?
    ) throws(StartFailure) -> [ControlSocket] {
        var sockets: [ControlSocket] = []
        for descriptor in passed { sockets.append(try ControlSocket(passed: descriptor)) }
        for address in asked ?? (passed.isEmpty ? [.standard] : []) {
            guard !sockets.contains(where: { $0.address.isSamePlace(as: address) }) else {
                throw StartFailure(
                    .configuration,
                    "--bind \(address) is among the sockets that the service manager passes; leave it out, or take it "
                        + "out of the .socket unit.")
            }
            sockets.append(try ControlSocket(address))
        }
        return sockets
    }

    private static func makeDataPlane(
        _ limits: DataPlaneLimits, _ mailboxes: [SnapshotMailbox], processors: [Int]
    ) throws(StartFailure) -> DataPlane {
        var limits = limits
        limits.loopMark = max(1, ck_random())
        do {
            let plane = try Plane(limits: limits, mailboxes: mailboxes)
            return try DataPlane(plane: plane, seed: ck_random(), processors: processors)
        } catch let failure as RingFailure {
            throw StartFailure(failure, limits)
        } catch {
            let number = (error as? BellFailure)?.error ?? 0
            throw StartFailure(
                .system,
                "There are no descriptors to wake \(counted(limits.reactors, "reactor")): "
                    + "\(KernelText.error(number)); raise ulimit -n, free memory, or lower --reactors.")
        }
    }

    private func startThreads() throws(StartFailure) {
        do {
            try dataPlane.start()
        } catch {
            // Reactors may run by now: what they read has to stay until the process ends. Files of sockets have not.
            controlSockets = []
            itself = self
            switch error {
            case .ring(let failure): throw StartFailure(failure, plane.limits)
            case .thread(let reactor, let number): throw Self.noThread(reactor, number)
            }
        }
    }

    private static func noThread(_ reactor: Int, _ number: Int32) -> StartFailure {
        let cause = KernelText.error(number)
        guard number == EAGAIN || number == ENOMEM else {
            return StartFailure(
                .system,
                "There is no thread for reactor \(reactor), clone3 is forbidden (\(cause)), most likely by a seccomp "
                    + "filter; allow it in the profile of the container or in SystemCallFilter= of the unit.")
        }
        return StartFailure(
            .system,
            "There is no thread for reactor \(reactor): \(cause); raise the limit on processes (ulimit -u, "
                + "TasksMax= or pids.max of the cgroup) or on memory (ulimit -v), or lower --reactors.")
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
            throw StartFailure(.system, Self.noDescriptor("epoll", error.number))
        }
    }

    private static func required(_ result: Int32, _ what: String) throws(StartFailure) -> Int32 {
        guard result >= 0 else {
            throw StartFailure(.system, noDescriptor(what, result))
        }
        return result
    }

    private static func noDescriptor(_ what: String, _ error: Int32) -> String {
        let reason = KernelText.error(error)
        return "There is no descriptor for \(what): \(reason); raise ulimit -n or fs.file-max, or free memory."
    }

    private func logMetrics() {
        guard let asked = settings.metricsAddress, let socket = metricsSocket else { return }
        log.notice("figures are served at \(asked.address):\(ck_bound_port(socket.fd))")
        guard asked.isPublic else { return }
        log.warning("any machine that reaches \(asked) sees what is registered here, and all figures")
    }

    private static func logPipes(_ log: Logger, _ made: Int, _ limits: DataPlaneLimits) {
        let wanted = limits.pipes * limits.reactors
        guard wanted > 0 else { return log.notice("bulk is copied (--no-splice)") }
        guard Pipes.areAllowed else {
            let cause = "splice or pipe2 is forbidden, most likely by a seccomp filter"
            return log.warning("bulk is copied, which costs more: \(cause); allow both, or give --no-splice")
        }
        guard made > 0 else {
            let cause = "/dev/null cannot be opened, or no pipe of \(ByteCount(bytes: Pipes.smallestBytes)) can be had"
            return log.warning("bulk is copied, which costs more: \(cause); make it available, or give --no-splice")
        }
        let size = ByteCount(bytes: limits.pipeBytes)
        log.notice("bulk goes through \(counted(made, "pipe")) of \(size)")
        guard made < wanted else { return }
        let cause = "the kernel gives a user without CAP_SYS_RESOURCE no more (fs.pipe-user-pages-soft)"
        log.warning("that is fewer than \(wanted): \(cause); bulk that finds no pipe is copied")
    }

    /// What was asked for and cannot be had, and is no reason not to serve. Each is a negative error number.
    private static func logRefusals(_ log: Logger, pinning: Int32, dumps: Int32) {
        if pinning != 0 {
            let cause = "sched_getaffinity or sched_setaffinity is refused (\(KernelText.error(pinning)))"
            log.warning("reactors are not pinned: \(cause); allow both, or leave --pin out")
        }
        if dumps != 0 {
            let cause = "prctl is refused (\(KernelText.error(dumps)))"
            log.warning("a crash may write private keys to a core dump: \(cause); allow it, or give --allow-core-dumps")
        }
    }

    /// A line for everything that an operator wants to know when something is wrong later.
    private static func logStart(
        _ log: Logger, _ sockets: [ControlSocket], _ limits: DataPlaneLimits, _ budget: DescriptorBudget,
        _ features: RingFeatures, _ surroundings: Surroundings, isPinned: Bool
    ) {
        log.notice("socketmaster \(Version.text)")
        for socket in sockets {
            let note = socket.isIPv4Only ? ListenerSockets.ipv4Only : socket.isPassed ? ", passed by systemd" : ""
            log.notice("control address \(socket.address)\(note)")
            if socket.address.isPublic {
                log.warning("any machine that reaches \(socket.address) may register and take over ports of this one")
            } else if socket.address.isForEverybody {
                log.warning("any user of this machine may register at \(socket.address) and take over its ports")
            }
        }
        let share = surroundings.processorLimit.map { limit in
            ", the cgroup allows \(limit) of \(counted(surroundings.processors, "processor")) (\(limit.file))"
        }
        let place = isPinned ? ", each on a processor of its own" : ""
        log.notice("\(counted(limits.reactors, "reactor"))\(place)\(share ?? "")")
        log.notice("kernel \(KernelText.release): \(features)")
        log.notice("\(tlsDescription)")
        let memory = ByteCount(bytes: limits.memoryOfProcess)
        let buffers = ByteCount(bytes: limits.bufferBytes)
        let tls = ByteCount(bytes: limits.tlsMemoryBound)
        let parts = "of it \(buffers.rounded) and a quarter for bytes that wait; \(tls.rounded) more if all come by TLS"
        let allowance = surroundings.memoryLimit.map { limit in
            "; the cgroup allows \(ByteCount(bytes: limit.bytes).rounded) (\(limit.file))"
        }
        log.notice("memory at most \(memory.rounded), \(parts)\(allowance ?? "")")
        if let warning = surroundings.warning(limits) { log.warning("\(warning)") }
        log.notice("descriptors \(budget)")
    }
}
