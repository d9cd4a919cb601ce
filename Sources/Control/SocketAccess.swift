/// Who may connect to a unix socket, by the permissions and the group of its file.
public struct SocketAccess: Hashable, Sendable {
    /// Permissions as chmod has them.
    public let mode: UInt32
    /// A group's name or number; nil: the group that the kernel gives a new file.
    public let group: String?

    /// The owner alone.
    public static let owner = SocketAccess(mode: 0o600, group: nil)

    public init(mode: UInt32, group: String?) {
        self.mode = mode
        self.group = group
    }

    /// Reads `mode=0660` and `group=NAME`, each once at most. Whoever names a group and no mode lets it in: 0660.
    /// - Throws: a sentence that says how to write it.
    init(parsing options: some Sequence<Substring>) throws(UnusableValue) {
        var mode: UInt32?
        var group: String?
        for option in options {
            if option.hasPrefix("mode="), mode == nil {
                mode = try Self.mode(option.dropFirst(5))
            } else if option.hasPrefix("group="), group == nil {
                group = try Self.group(option.dropFirst(6))
            } else {
                throw UnusableValue(
                    "behind the path of a unix socket there may be mode=0660 and group=NAME, each once and behind a "
                        + "comma, and not \"\(option)\"; a path has no comma")
            }
        }
        self.init(mode: mode ?? (group == nil ? 0o600 : 0o660), group: group)
    }

    private static func mode(_ digits: Substring) throws(UnusableValue) -> UInt32 {
        let isOctal = (3...4).contains(digits.utf8.count) && digits.utf8.allSatisfy { (48...55).contains($0) }
        guard isOctal, let mode = UInt32(digits, radix: 8), mode <= 0o777 else {
            throw UnusableValue("mode= is for permissions in octal, from 0000 to 0777: 0660 for example")
        }
        return mode
    }

    private static func group(_ name: Substring) throws(UnusableValue) -> String {
        guard !name.isEmpty, name.utf8.count <= 256, !name.utf8.contains(0) else {
            throw UnusableValue("group= is for the name or the number of a group of this machine")
        }
        return String(name)
    }
}

extension SocketAccess: CustomStringConvertible {
    /// As it stands behind the path.
    public var description: String {
        guard self != .owner else { return "" }
        let digits = String(mode, radix: 8)
        let mode = ",mode=\(String(repeating: "0", count: 4 - digits.count))\(digits)"
        return group.map { "\(mode),group=\($0)" } ?? mode
    }
}
