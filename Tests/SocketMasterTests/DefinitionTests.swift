import Testing

@testable import SocketMaster

private func refusal(_ definition: SocketDefinition) -> String? {
    do {
        try definition.validate()
        return nil
    } catch {
        #expect((error as? SocketMasterError)?.code == .invalidDefinition)
        return "\(error)"
    }
}

@Test func `a definition is checked before anything is sent, with the proxy's own sentences`() {
    #expect(refusal(SocketDefinition(port: 443, http: .init(domainSuffix: "example.com", pathPrefix: "/a"))) == nil)
    #expect(refusal(SocketDefinition(port: 70_000))?.contains("no port 70000") == true)
    #expect(refusal(SocketDefinition(address: "example.com", port: 1))?.contains("neither an IP address") == true)
    #expect(refusal(SocketDefinition(port: 1, http: .init(pathPrefix: "a")))?.contains("slash") == true)
    #expect(refusal(SocketDefinition(port: 1, http: .init(domainSuffix: "*.a")))?.contains("wildcard") == true)
    #expect(refusal(SocketDefinition(port: 1, tls: .init(certificate: "", key: "k")))?.contains("certificate") == true)
}

@Test func `what is longer than the proxy reads is refused here`() {
    let long = String(repeating: "a", count: 300)
    #expect(refusal(SocketDefinition(address: long, port: 1))?.contains("300") == true)
    #expect(refusal(SocketDefinition(port: 1, http: .init(domainSuffix: long)))?.contains("253") == true)
    let definition = SocketDefinition(port: 1)
    #expect(throws: SocketMasterError.self) {
        try definition.wire(attributes: ["a": String(repeating: "b", count: 4_096)]).validate()
    }
    let many = Dictionary(uniqueKeysWithValues: (0..<65).map { ("\($0)", "") })
    #expect(throws: SocketMasterError.self) { try definition.wire(attributes: many).validate() }
}

@Test func `control addresses are read as the proxy's flag has them, and written the same way`() throws {
    for text in ["127.0.0.1:9999", "[::1]:80", "proxy.example:65535", "unix:/run/socketmaster.sock", "unix:@name"] {
        #expect(try ControlAddress(parsing: text).description == text)
    }
    for text in ["", "9999", ":9999", "host:", "host:0", "host:65536", "host:+1", "::1:80", "unix:", "unix:@", "[]:1"] {
        #expect(throws: SocketMasterError.self) { try ControlAddress(parsing: text) }
    }
}
