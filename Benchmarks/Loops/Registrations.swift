import Registration

extension Loop {
    static let registrations: [Loop] = [
        decode("of an HTTP service", SocketDefinition(port: 8000, http: http)),
        decode(
            "with a certificate and attributes",
            SocketDefinition(
                address: "127.0.0.1", port: 8443, http: http,
                tls: .init(certificate: pem(count: 4096), key: pem(count: 1704)),
                attributes: ["name": "orders", "reuse-streams": "true"])),
    ]

    private static let http = SocketDefinition.HTTP(domainSuffix: "orders.example.com", pathPrefix: "/api")

    /// Out of its bytes, all of them at once, and judged.
    private static func decode(_ what: String, _ definition: SocketDefinition) -> Loop {
        Loop("Registration: decode one \(what)") {
            let bytes = definition.encoded()
            return { count in
                var sum = 0
                for _ in 0..<count {
                    var decoder = RegistrationDecoder()
                    sum &+= decoder.receive(bytes.span)
                    guard case .complete(let definition) = decoder.state else { return 0 }
                    guard let judged = try? CanonicalDefinition(definition) else { return 0 }
                    sum &+= Int(judged.port)
                }
                return sum
            }
        }
    }

    private static func pem(count: Int) -> [UInt8] { [UInt8](repeating: UInt8(ascii: "A"), count: count) }
}
