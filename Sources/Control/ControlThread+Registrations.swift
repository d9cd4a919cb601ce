internal import CKernel
internal import Logging
internal import Registration
internal import TLS

// From a connection at a control address to a judged registration, or to a refusal.
extension ControlThread {
    func acceptServices(at index: Int) {
        guard controlSockets.indices.contains(index) else { return }
        for _ in 0..<Self.acceptsPerRound {
            let fd = ck_accept_now(controlSockets[index].fd)
            if fd >= 0 {
                beginRegistration(OwnedDescriptor(fd))
            } else if fd == -EMFILE || fd == -ENFILE {
                guard findDescriptor() else { return pauseAccepting() }
            } else if fd == -ENOBUFS || fd == -ENOMEM {
                return pauseAccepting()
            } else if fd == -EAGAIN {
                return
            }
            // Other errors are of the connection that has just been lost.
        }
    }

    /// Frees a descriptor when the process has none left. False: there is none to free.
    private func findDescriptor() -> Bool {
        if spareDescriptors.release() { return true }
        guard let other = pending.leastPromising(), !other.isWaiting else { return false }
        evict(other, .limit, Self.tooMany)
        return true
    }

    private func beginRegistration(_ descriptor: OwnedDescriptor) {
        if pending.isFull, let other = pending.leastPromising() { evict(other, .limit, Self.tooMany) }
        let fd = descriptor.fd
        let registration = pending.add(descriptor, peer: KernelText.peer(of: fd), now: now)
        do {
            try epoll.add(fd, registration.source)
        } catch {
            log.warning(
                "no memory to wait for \(registration.peer): \(KernelText.error(error.number))",
                metadata: .about(.init("no memory to wait for", registration.host, allowance: .many)))
            pending.remove(registration)
        }
    }

    /// There are bytes of a registration, or its connection has ended.
    func continueRegistration(_ id: UInt64, isBroken: Bool) {
        // It may have been evicted by an event of this very round.
        guard let registration = pending[id] else { return }
        switch registration.phase {
        case .reading: receive(registration)
        case .waiting: if isBroken { forget(registration) }
        case .refused(let bytesDropped): drop(registration, after: bytesDropped)
        }
    }

    private func receive(_ registration: PendingRegistration) {
        let count = receiveNow(registration.descriptor.fd)
        guard count > 0 else {
            if count != -Int(EAGAIN) { forget(registration) }
            return
        }
        registration.lastHeard = now
        let used = pending.receive(receiveBuffer.span.extracting(0..<count), for: registration)
        switch registration.decoder.state {
        case .needsMore:
            // It may be a part of a key.
            if registration.decoder.isWithinSecret { wipe(receiveBuffer) }
            guard pending.isOverByteLimit, let largest = pending.largest() else { return }
            evict(largest, .limit, Self.tooMany)
        case .complete(let definition):
            judge(definition, of: registration, behind: Array(receiveBuffer[used..<count]))
        case .refused(let refusal):
            if registration.decoder.isWithinSecret { wipe(receiveBuffer) }
            refuse(registration, .malformed, "\(refusal)")
        }
    }

    /// - Returns: a count of bytes, 0 at the end, or a negative error number.
    private func receiveNow(_ fd: Int32) -> Int {
        unsafe receiveBuffer.withUnsafeMutableBytes { buffer in
            unsafe ck_receive_now(fd, buffer.baseAddress, buffer.count)
        }
    }

    private func judge(_ definition: SocketDefinition, of registration: PendingRegistration, behind: [UInt8]) {
        do {
            var canonical = try CanonicalDefinition(definition)
            let identity = try identity(of: canonical.tls)
            canonical.tls = nil
            place(registration, JudgedRegistration(definition: canonical, identity: identity, behind: behind))
        } catch {
            refuse(registration, error is IdentityRefusal ? .certificate : .malformed, "\(error)")
        }
    }

    /// What becomes of a certificate and its key. Nothing of the key's text is left, whatever that is: the definition
    /// goes with the registration, and what was received is overwritten.
    private func identity(of tls: SocketDefinition.TLS?) throws -> Identity? {
        guard let tls else { return nil }
        defer { wipe(receiveBuffer) }
        return try Identity(chain: tls.certificate, key: tls.key)
    }

    /// Everybody who shares the array is left with zeros: that is what it is for.
    private func wipe(_ secret: [UInt8]) {
        unsafe secret.withUnsafeBytes { bytes in
            unsafe ck_wipe(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
        }
    }

    /// A service waits for its listener to be closed: as soon as one is, all of them are looked at again.
    func placeWaiting() {
        for registration in pending.all {
            guard case .waiting(let judged) = registration.phase else { continue }
            place(registration, judged)
        }
    }

    /// Tells a service why not, in one send and in a way that it can read.
    func refuse(_ registration: PendingRegistration, _ why: RegistrationResult, _ sentence: String) {
        registrationResults[why, default: 0] += 1
        logRefusal(registration, sentence)
        guard answer(registration, sentence) else { return forget(registration) }
        let fd = registration.descriptor.fd
        // It may have sent more than was read: closing now would reset the connection, and the sentence with it.
        _ = ck_shutdown(fd, CInt(SHUT_WR))
        guard epoll.setReading(true, fd, registration.source) else { return forget(registration) }
        pending.move(
            registration, to: .refused(bytesDropped: 0), deadline: now + PendingTable.lingerMilliseconds)
    }

    private func drop(_ registration: PendingRegistration, after bytesDropped: Int) {
        let count = receiveNow(registration.descriptor.fd)
        guard count != -Int(EAGAIN) else { return }
        guard count > 0, bytesDropped + count <= PendingTable.dropLimit else { return forget(registration) }
        registration.phase = .refused(bytesDropped: bytesDropped + count)
    }

    func expire(_ registration: PendingRegistration) {
        switch registration.phase {
        case .reading:
            let seconds = RegistrationLimits.deadlineMilliseconds / 1_000
            refuse(
                registration, .malformed,
                "The registration was not complete after \(seconds) seconds; send all of it at once.")
        case .waiting:
            refuse(registration, .port, "The port is still being closed; try again in a moment.")
        case .refused:
            forget(registration)
        }
    }

    /// Makes room, at once.
    func evict(_ registration: PendingRegistration, _ why: RegistrationResult, _ reason: String) {
        if !registration.isRefused {
            registrationResults[why, default: 0] += 1
            logRefusal(registration, reason)
            _ = answer(registration, "\(reason); try again in a moment.")
        }
        forget(registration)
    }

    func forget(_ registration: PendingRegistration) {
        // Its descriptor is closed, in any case.
        _ = epoll.remove(registration.descriptor.fd)
        pending.remove(registration)
    }

    /// Nobody waits for a service to read: what does not fit into its socket at once is not sent.
    private func answer(_ registration: PendingRegistration, _ status: String) -> Bool {
        let bytes = RegistrationResponse(status: status).encoded()
        let sent = unsafe bytes.withUnsafeBytes { bytes in
            unsafe ck_send_now(registration.descriptor.fd, bytes.baseAddress, bytes.count)
        }
        return sent == bytes.count
    }

    private func logRefusal(_ registration: PendingRegistration, _ sentence: String) {
        log.warning(
            "refused \(registration.peer): \(sentence)",
            metadata: .about(.init("refused", registration.host, allowance: .many)))
    }

    // MARK: the control addresses at the limit of descriptors

    private static let tooMany = "Too many services register at once"
    static let acceptsPerRound = 64
    private static let acceptPauseMilliseconds: UInt64 = 100
    private static let complaintMilliseconds: UInt64 = 10_000

    private func pauseAccepting() {
        guard acceptResumesAt == nil else { return }
        acceptResumesAt = now + Self.acceptPauseMilliseconds
        for (index, socket) in controlSockets.enumerated() {
            // If the kernel refuses, services are accepted and turned away instead.
            _ = epoll.setReading(false, socket.fd, .controlSocket(index: index))
        }
        guard now >= nextComplaint else { return }
        nextComplaint = now + Self.complaintMilliseconds
        log.error("no descriptor is left for services that register: raise the limit or lower --max-connections")
    }

    func resumeAccepting() {
        acceptResumesAt = nil
        for (index, socket) in controlSockets.enumerated() {
            let isReading = epoll.setReading(true, socket.fd, .controlSocket(index: index))
            if !isReading { acceptResumesAt = now + Self.acceptPauseMilliseconds }
        }
    }
}
