internal import CKernel
internal import Logging
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
            case .speaksTLS(let address): log.info("listener speaks TLS: \(address)")
            case .speaksPlain(let address): log.warning("listener speaks plain, no certificate is left: \(address)")
            case .overlap(let names, let winner, let loser):
                let text = "\(logText(Self.shortened(names))): \(winner) has it now, \(loser) had it"
                log.warning("two certificates for one name, the newer one is served: \(text)")
            }
        }
    }

    func logCertificate(_ identity: Identity, _ session: SessionHandle) {
        guard let session = registry.sessions[session] else { return }
        let names = identity.names.isEmpty ? "no name" : logText(Self.shortened(identity.names))
        let end = KernelText.date(identity.notAfter)
        let key = "\(identity.keyName), SHA-256 \(identity.fingerprintText)"
        log.info("certificate for \(names) until \(end), \(key), brought by \(session.service)")
        switch identity.validity(at: KernelText.secondsSince1970) {
        case .valid: break
        case .expired:
            log.warning("the certificate for \(names) has expired (\(end)): clients will refuse it; renew it")
        case .notYet:
            let start = KernelText.date(identity.notBefore)
            log.warning("the certificate for \(names) is not valid before \(start): clients will refuse it until then")
        }
    }

    private static func shortened(_ names: [String]) -> String {
        let shown = names.prefix(4).joined(separator: ", ")
        return names.count > 4 ? "\(shown) and \(names.count - 4) more" : shown
    }
}
