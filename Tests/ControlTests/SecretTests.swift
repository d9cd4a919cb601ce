import Registration
import Testing

@testable import Control

private let line = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgq8Zk2fT0Xw7Yb1Qn"
private let key = "-----BEGIN PRIVATE KEY-----\n\(line)\n-----END PRIVATE KEY-----\n"

private func definition() -> SocketDefinition {
    SocketDefinition(
        port: 443, http: .init(), tls: .init(certificate: Array(key.utf8), key: Array(key.utf8)),
        attributes: ["token": key, "name": key])
}

/// In a decoder that has got to within a number of bytes of the end.
private func registration(lacking count: Int) -> PendingRegistration {
    var table = PendingTable(capacity: 1)
    let registration = table.add(anyDescriptor(), peer: "peer", now: 0)
    let bytes = Array(definition().encoded().dropLast(count))
    _ = table.receive(bytes.span, for: registration)
    return registration
}

private func judged() throws -> JudgedRegistration {
    JudgedRegistration(definition: try CanonicalDefinition(definition()), identity: nil, behind: [])
}

/// As text, and as numbers below one another or in a list.
private func showsKey(_ value: Any) -> Bool {
    var text = ""
    dump(value, to: &text)
    text += "\(value)\n\(String(reflecting: value))"
    let piece = Array(line.utf8)[16..<24].map { "\($0)" }
    let isList = text.filter { !$0.isWhitespace && $0 != "-" }.contains(piece.joined(separator: ","))
    let leaves = text.split(separator: "\n").compactMap { $0.split(separator: " ").last }.joined(separator: ",")
    return isList || leaves.contains(piece.joined(separator: ",")) || text.contains(line.dropFirst(16).prefix(16))
}

/// `ProjectTests` looks in the sources for those that are missing here.
@Test func `nothing of the control plane that holds a key shows it`() throws {
    let holders: [String: [Any]] = [
        "PendingRegistration": [registration(lacking: 0), registration(lacking: 300), registration(lacking: 450)],
        "PendingTable": [["a": registration(lacking: 0)]],
        "PendingRegistration.Phase": [PendingRegistration.Phase.waiting(try judged())],
        "JudgedRegistration": [try judged()],
    ]
    for (name, values) in holders {
        for value in values { #expect(!showsKey(value), "\(name)") }
    }
    #expect(showsKey(Array(key.utf8)) && showsKey([key]))
}

@Test func `a key that a service has for a name is not logged`() {
    #expect(!logText(key).contains(line.prefix(16)) && !logText("/\(line)").contains(line.prefix(16)))
    #expect(logText("/api") == "/api")
}
