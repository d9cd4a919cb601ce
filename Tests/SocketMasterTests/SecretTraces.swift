/// A private key for tests about what is shown of one, and how it would be recognised.
struct SecretTraces {
    /// In PEM. No key at all, but nobody looks.
    let text: String
    private let traces: [String]

    init() {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var random = SystemRandomNumberGenerator()
        let lines = (0..<4).map { _ in String((0..<64).map { _ in alphabet.randomElement(using: &random)! }) }
        text = (["-----BEGIN PRIVATE KEY-----"] + lines + ["-----END PRIVATE KEY-----", ""]).joined(separator: "\n")
        traces = lines.flatMap { line in
            stride(from: 0, to: 64, by: 16).flatMap { place in
                Self.forms(of: Array(line.utf8)[place..<place + 16])
            }
        }
    }

    var bytes: [UInt8] { Array(text.utf8) }

    /// As text, and as a list of numbers; a leaf of a mirror has a line of its own in a dump.
    private static func forms(of piece: ArraySlice<UInt8>) -> [String] {
        let digits = piece.map { byte in
            let text = String(byte, radix: 16)
            return text.count == 1 ? "0" + text : text
        }
        return [
            String(decoding: piece, as: UTF8.self), piece.map { "\($0)" }.joined(separator: ","), digits.joined(),
            digits.joined().uppercased(), digits.joined(separator: ":"),
            digits.map { "0x" + $0 }.joined(separator: ","),
        ]
    }

    /// The pieces of the key that a text has.
    func found(in text: String) -> [String] {
        let text = text.filter { !$0.isWhitespace && $0 != "-" }
        return traces.filter { text.contains($0.filter { $0 != "-" }) }
    }

    /// All ways in which a value tells of itself, to the leaves.
    static func everythingShown(of value: Any) -> String {
        var dumped = ""
        dump(value, to: &dumped)
        var leaves: [String] = []
        collectLeaves(of: value, into: &leaves, depth: 0)
        // The numbers of a list stand one below the other in a dump.
        let numbers = dumped.split(separator: "\n").compactMap { $0.split(separator: " ").last }
        return [
            "\(value)", String(describing: value), String(reflecting: value), dumped, numbers.joined(separator: ","),
            leaves.joined(separator: ","), "\((value as? any Error).map { "\($0)" } ?? "")",
        ].joined(separator: "\n")
    }

    private static func collectLeaves(of value: Any, into leaves: inout [String], depth: Int) {
        let mirror = Mirror(reflecting: value)
        guard !mirror.children.isEmpty, depth < 12 else { return leaves.append("\(value)") }
        for child in mirror.children { collectLeaves(of: child.value, into: &leaves, depth: depth + 1) }
    }
}
