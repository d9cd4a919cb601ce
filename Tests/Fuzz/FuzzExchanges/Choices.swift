/// Decisions, a byte of an input each: of a fuzzer's, or of a seed's. When none are left, the plainest one is taken.
struct Choices {
    private var bytes: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

    var areOver: Bool { bytes.isEmpty }

    mutating func number(below count: Int) -> Int { Int(bytes.popFirst() ?? 0) % count }

    mutating func oneIn(_ count: Int) -> Bool { number(below: count) == count - 1 }

    /// A count that is small, in between, or all there is.
    mutating func some(of count: Int) -> Int {
        guard count > 1, !areOver else { return count }
        switch number(below: 4) {
        case 0: return 1
        case 1: return 1 + number(below: min(count, 256))
        case 2: return max(1, count * number(below: 256) / 256)
        default: return count
        }
    }
}
