/// Bytes that nobody may read by chance: a private key, the file of a certificate, which may hold its key, a whole
/// registration. A log, an error or a dump of whatever holds them has what they are and how many, and nothing else.
///
/// They are overwritten when the last holder has gone. Whoever takes them out as an array holds them too, and so does
/// whoever has given the array: it is the last of these that counts.
package struct SecretBytes: Sendable {
    package enum Kind: String, Sendable {
        case certificate
        case privateKey = "private key"
        case registration
    }

    /// The class is there for its end. Nobody writes before that, hence any thread may read.
    private final class Storage: @unchecked Sendable {
        var bytes: [UInt8]

        init(_ bytes: consuming [UInt8]) { self.bytes = bytes }

        deinit { FieldCollector.wipe(&bytes) }
    }

    private let kind: Kind
    private let storage: Storage

    package init(_ kind: Kind, _ bytes: consuming [UInt8]) {
        self.kind = kind
        storage = Storage(bytes)
    }

    package var count: Int { storage.bytes.count }
    package var isEmpty: Bool { storage.bytes.isEmpty }

    /// The bytes themselves, for whoever signs with them or sends them.
    package var exposed: [UInt8] { storage.bytes }
}

extension SecretBytes: Hashable {
    package static func == (left: SecretBytes, right: SecretBytes) -> Bool {
        left.storage === right.storage || left.storage.bytes == right.storage.bytes
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(storage.bytes) }
}

extension SecretBytes: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "<\(kind.rawValue), \(count) bytes>" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: EmptyCollection<Mirror.Child>()) }
}
