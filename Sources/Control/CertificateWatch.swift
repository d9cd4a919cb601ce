internal import TLS

/// What the log says of certificates that clients refuse or soon will: of each certificate and each of its faults once
/// a day, however many sessions bring it, and however often its service registers.
///
/// Pure: the wall clock comes in, in seconds since 1970, and may jump.
struct CertificateWatch {
    static let noticeSeconds: Int64 = 14 * 86_400
    static let repeatSeconds: Int64 = 86_400
    /// Faults whose telling is remembered.
    static let toldMaximum = 4_096
    /// No look at the clock is further away than this: it may be set.
    static let lookSeconds: Int64 = 60

    enum Fault: Hashable {
        case notYet
        case expires
        case hasExpired
        /// The domain that its own service registers for.
        case doesNotCover(String)
    }

    private struct Told: Hashable {
        let fingerprint: [UInt8]
        let fault: Fault
    }

    private var told: [Told: Int64] = [:]

    /// Why clients refuse a certificate, or will; nil: they do not.
    static func fault(of identity: Identity, at now: Int64) -> Fault? {
        switch identity.validity(at: now) {
        case .notYet: .notYet
        case .expired: .hasExpired
        case .valid: identity.notAfter - now <= noticeSeconds ? .expires : nil
        }
    }

    /// Whether the fault is to be told now. If so, it counts as told.
    mutating func takes(_ fault: Fault, of identity: Identity, at now: Int64) -> Bool {
        let entry = Told(fingerprint: identity.fingerprint, fault: fault)
        if let last = told[entry], last <= now + Self.repeatSeconds, now - last < Self.repeatSeconds { return false }
        if told.count >= Self.toldMaximum { forget(at: now) }
        told[entry] = now
        return true
    }

    /// What was told a day ago, or else what was told first.
    private mutating func forget(at now: Int64) {
        told = told.filter { now - $0.value < Self.repeatSeconds }
        guard told.count >= Self.toldMaximum else { return }
        for (entry, _) in told.sorted(by: { $0.value < $1.value }).prefix(Self.toldMaximum / 2) { told[entry] = nil }
    }

    /// Seconds until it has to be looked at the certificates again.
    static func secondsToNextLook(_ identities: some Sequence<Identity>, at now: Int64) -> Int64 {
        let moments = identities.flatMap { [$0.notBefore, $0.notAfter - noticeSeconds, $0.notAfter + 1] }
        let next = moments.filter { $0 > now }.min() ?? .max
        return min(lookSeconds, next - now)
    }
}

extension Identity {
    /// Whether clients that ask for the domain of a registration believe the certificate. One for sub-domains alone,
    /// with its leading dot, is satisfied by any name below it.
    func covers(domain: String) -> Bool {
        if domain.isEmpty || Self.isAddress(domain) { return true }
        guard !domain.hasPrefix(".") else { return names.contains { $0.hasSuffix(domain) } }
        let parent = domain.firstIndex(of: ".").map { domain[$0...] }
        return names.contains { $0 == domain || parent != nil && $0 == "*\(parent ?? "")" }
    }

    /// Certificates name addresses in another way, which is not looked at.
    private static func isAddress(_ domain: String) -> Bool {
        domain.utf8.allSatisfy { $0 == UInt8(ascii: ".") || $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
            || domain.contains(":")
    }
}

/// So much time, rounded up: `3 days`, `5 hours`.
func roundedTime(seconds: Int64) -> String {
    let (unit, name) = seconds > 86_400 ? (86_400, "day") : seconds > 3_600 ? (3_600, "hour") : (60 as Int64, "minute")
    return counted(Int((seconds + unit - 1) / unit), name)
}
