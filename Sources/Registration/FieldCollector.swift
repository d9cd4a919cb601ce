/// Gathers the bytes of one field after the other, however they arrive. Shared by the two decoders.
///
/// Memory follows what has arrived and never what was announced.
struct FieldCollector: Sendable {
    private(set) var bytes: [UInt8] = []
    private var expected: Int

    /// - Parameter expected: the length of the first field in bytes.
    init(expecting expected: Int) {
        precondition(expected >= 0)
        self.expected = expected
    }

    var isFull: Bool { bytes.count == expected }

    /// Takes what belongs to the current field, and returns how much that was.
    mutating func collect(_ source: Span<UInt8>, from offset: Int) -> Int {
        let count = min(expected - bytes.count, source.count - offset)
        guard count > 0 else { return 0 }
        makeRoom(for: count)
        // The pointer does not leave the closure, and append copies.
        unsafe source.extracting(offset..<offset + count).withUnsafeBufferPointer { piece in
            unsafe bytes.append(contentsOf: piece)
        }
        assert(bytes.count <= expected)
        return count
    }

    /// Bytes may be a key's: what an array leaves behind when it grows is overwritten.
    private mutating func makeRoom(for count: Int) {
        let needed = bytes.count + count
        guard bytes.capacity < needed else { return }
        var grown: [UInt8] = []
        grown.reserveCapacity(min(expected, max(needed, 2 * bytes.capacity)))
        grown.append(contentsOf: bytes)
        Self.wipe(&bytes)
        bytes = grown
    }

    /// Not inlined, or it could be seen that nobody reads the zeros.
    @inline(never)
    static func wipe(_ bytes: inout [UInt8]) {
        for place in bytes.indices { bytes[place] = 0 }
    }

    /// Nothing of what has arrived is left.
    mutating func wipe() {
        Self.wipe(&bytes)
        bytes = []
    }

    /// Gives the current field away, which has to be full. `expect` has to follow.
    mutating func take() -> [UInt8] {
        precondition(isFull)
        expected = 0
        defer { bytes = [] }
        return bytes
    }

    /// The current field as an integer: 8 bytes, big endian, two's complement. `expect` has to follow.
    mutating func takeInteger() -> Int {
        precondition(isFull && bytes.count == Self.integerBytes)
        let value = bytes.reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
        expected = 0
        bytes.removeAll(keepingCapacity: true)
        return Int(Int64(bitPattern: value))
    }

    /// Begins a field of that many bytes.
    mutating func expect(_ count: Int) {
        precondition(bytes.isEmpty && count >= 0)
        expected = count
    }

    static let integerBytes = 8
}

extension [UInt8] {
    /// Appends an integer as `FieldCollector.finishInteger` reads it.
    mutating func append(integer: Int) {
        let value = UInt64(bitPattern: Int64(integer))
        for shift in stride(from: 56, through: 0, by: -8) {
            append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
        }
    }

    /// Appends a string: its length, then its bytes.
    mutating func append(field: some Collection<UInt8>) {
        append(integer: field.count)
        append(contentsOf: field)
    }

    /// Appends a map of strings, sorted by their bytes, so that equal maps are equal on the wire.
    mutating func append(map: [String: String]) {
        append(integer: map.count)
        for (name, value) in map.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
            append(field: name.utf8)
            append(field: value.utf8)
        }
    }
}
