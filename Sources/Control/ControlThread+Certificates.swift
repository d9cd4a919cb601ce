internal import CKernel
internal import Logging
internal import Registration
internal import Routing
internal import TLS

// What the log has to tell of certificates, and the keys of tickets.
extension ControlThread {
    static func startTLS(_ settings: Settings) throws(StartFailure) {
        do {
            try TLSEnvironment.start(minimum: settings.tlsMinimum.version)
        } catch {
            throw StartFailure(.system, "\(error)")
        }
    }

    /// What TLS is done by, for the log.
    static var tlsDescription: String {
        let kernel = ck_has_kernel_tls() ? "the kernel's is there and not used" : "the kernel has none"
        return "TLS by BoringSSL; \(kernel)"
    }

    /// Tickets are sealed with a new key from time to time; those of the keys before it still open.
    func renewTickets() {
        let period = TLSEnvironment.ticketKeySeconds * 1_000
        if ticketsRenewedAt == .max { ticketsRenewedAt = now + period }
        guard ticketsRenewedAt <= now else { return }
        ticketsRenewedAt = now + period
        if !TLSEnvironment.rotateTicketKeys() { log.error("no randomness for a new key of tickets; the old one stays") }
    }

    func tellCertificateNews() {
        for news in registry.takeCertificateNews() {
            switch news {
            case .speaksTLS(let address):
                log.info(
                    "listener speaks TLS: \(address)", metadata: .about(.init("listener speaks TLS", "\(address)")))
            case .speaksPlain(let address):
                log.warning(
                    "listener speaks plain, no certificate is left: \(address)",
                    metadata: .about(.init("listener speaks plain", "\(address)")))
            case .overlap(let names, let winner, let loser):
                let text = "\(logText(Self.shortened(names))): \(winner) has it now, \(loser) had it"
                log.warning(
                    "two certificates for one name, the newer one is served: \(text)",
                    metadata: .about(.init("two certificates for one name", winner)))
            }
        }
    }

    func logCertificate(_ identity: Identity, _ session: SessionHandle) {
        guard let session = registry.sessions[session] else { return }
        let end = KernelText.date(identity.notAfter)
        let key = "\(identity.keyName), SHA-256 \(identity.fingerprintText)"
        log.info(
            "certificate for \(Self.names(of: identity)) until \(end), \(key), brought by \(session.service)",
            metadata: .about("certificate", session.routeName))
        warn(of: identity, for: session.routeName)
        guard case .http(let pattern) = session.routeName.pattern else { return }
        warnUnlessCovered(pattern.domainSuffix, by: identity, for: session.routeName)
    }

    private func warnUnlessCovered(_ domain: String, by identity: Identity, for route: RouteName) {
        guard !identity.covers(domain: domain) else { return }
        let isNew = certificateWatch.takes(.doesNotCover(domain), of: identity, at: KernelText.secondsSince1970)
        guard isNew else { return }
        log.warning(
            """
            certificate does not cover \(logText(domain)), which its service has registered for on \(route.address): \
            it is for \(Self.names(of: identity)), and clients that ask for another name refuse it; \
            have it reissued for \(logText(domain))
            """, metadata: .about("certificate does not cover", route))
    }

    /// Certificates that are served: those that expire, or begin to count, while they are.
    func watchCertificates() {
        guard certificatesDueAt <= now else { return }
        let served = registry.routes.values.sorted { $0.id < $1.id }
            .flatMap { route in route.identities.map { (route: route, identity: $0.identity) } }
        for (route, identity) in served { warn(of: identity, for: registry.name(of: route)) }
        let identities = served.map { $0.identity }
        let seconds = CertificateWatch.secondsToNextLook(identities, at: KernelText.secondsSince1970)
        certificatesDueAt = identities.isEmpty ? .max : now + UInt64(seconds) * 1_000
    }

    private func warn(of identity: Identity, for route: RouteName) {
        let time = KernelText.secondsSince1970
        certificatesDueAt = min(certificatesDueAt, now + 1_000)
        guard let fault = CertificateWatch.fault(of: identity, at: time) else { return }
        guard certificateWatch.takes(fault, of: identity, at: time) else { return }
        let (names, address) = (Self.names(of: identity), route.address)
        let end = KernelText.date(identity.notAfter)
        let subject = Logger.Metadata.about("certificate expires", route)
        switch fault {
        case .expires:
            let left = roundedTime(seconds: identity.notAfter - time)
            log.warning("certificate expires in \(left) (\(end)): \(names) on \(address); renew it", metadata: subject)
        case .hasExpired:
            let refused = "clients of \(address) refuse it; renew it"
            log.warning("certificate expires: that for \(names) has expired (\(end)), \(refused)", metadata: subject)
        case .notYet:
            let start = KernelText.date(identity.notBefore)
            log.warning(
                "certificate is not valid yet: that for \(names) begins on \(start), clients of \(address) refuse it",
                metadata: .about("certificate not valid yet", route))
        case .doesNotCover: break
        }
    }

    private static func names(of identity: Identity) -> String {
        identity.names.isEmpty ? "no name" : logText(shortened(identity.names))
    }

    private static func shortened(_ names: [String]) -> String {
        let shown = names.prefix(4).joined(separator: ", ")
        return names.count > 4 ? "\(shown) and \(names.count - 4) more" : shown
    }
}
