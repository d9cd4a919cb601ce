/// Leaves out of a request's trailer fields what we set, drop or frame by: a service that merges trailers into the head
/// would take them for ours (RFC 9110 §6.5.1). Names count in either spelling, `-` or `_`.
///
/// Made for one trailer section, whose bytes are given as ``ChunkedReader/advanceTrailers(_:consumed:)`` passes them,
/// from the first byte of the first name on. A name that may still become one of those is held back.
public struct TrailerFilter: Sendable, BitwiseCopyable {
    /// Where in a line the next byte stands.
    private enum Place: UInt8, Sendable, BitwiseCopyable {
        /// In a name that may become one of ours.
        case name
        case keptLine
        case droppedLine

        // The compiler's own comparisons make no promise about locks, and functions that do may not call them.
        @_noLocks static func == (left: Self, right: Self) -> Bool { left.rawValue == right.rawValue }
    }

    /// Bytes that are held back at most: the longest name.
    public static var longestHeld: Int { @_noLocks get { 17 } }

    /// Of the bytes that are held, a bit for each, the first one lowest: whether it is an upper-case letter or `_`.
    /// With the name that they begin this is all of them, in a word that each connection has room for.
    private var spelling: UInt32 = 0
    private var heldCount: UInt8 = 0
    /// The number of a name that begins with what is held.
    private var candidate: UInt8 = 0
    private var place = Place.name

    @_noLocks public init() {}

    /// Writes what goes on of the next bytes.
    ///
    /// - Parameters:
    ///   - bytes: the next bytes of the section, valid ones.
    ///   - destination: at least `bytes.count + longestHeld` bytes; does not overlap `bytes`.
    /// - Returns: the bytes written.
    @_noLocks
    public mutating func pass(_ bytes: UnsafeRawBufferPointer, to destination: UnsafeMutableRawBufferPointer) -> Int {
        if bytes.count == 0 { return 0 }
        precondition(destination.count >= bytes.count &+ Self.longestHeld, "filtered trailers have room")
        var writer = unsafe ByteWriter(destination)
        for index in 0..<bytes.count {
            let byte = unsafe bytes[index]
            switch place {
            case .name: takeName(byte, &writer)
            case .keptLine: writer.append(byte)
            case .droppedLine: break
            }
            if byte == Ascii.lineFeed { place = .name }
        }
        return writer.count
    }

    /// Takes a byte of a name, or what ends it.
    @_noLocks private mutating func takeName(_ byte: UInt8, _ writer: inout ByteWriter) {
        let isWhole = Int(heldCount) == Self.name(candidate).utf8CodeUnitCount
        if byte == Ascii.colon && isWhole { return decide(.droppedLine) }
        if !hold(byte) {
            for index in 0..<Int(heldCount) { writer.append(heldByte(index)) }
            writer.append(byte)
            return decide(.keptLine)
        }
        if Int(heldCount) == Self.name(candidate).utf8CodeUnitCount && candidate < Self.familyCount {
            decide(.droppedLine)
        }
    }

    @_noLocks private mutating func decide(_ place: Place) {
        heldCount = 0
        spelling = 0
        candidate = 0
        self.place = place
    }

    /// - Returns: false if no name begins with what is held and the byte.
    @_noLocks private mutating func hold(_ byte: UInt8) -> Bool {
        let folded = Ascii.folded(byte)
        let count = Int(heldCount)
        let held = Self.name(candidate)
        for number in 0..<Self.nameCount {
            let name = Self.name(number)
            guard count < name.utf8CodeUnitCount, Word.byte(of: name, at: count) == folded,
                Self.beginEqually(name, held, count)
            else { continue }
            candidate = number
            if folded != byte { spelling |= 1 &<< UInt32(count) }
            heldCount &+= 1
            return true
        }
        return false
    }

    @_noLocks private func heldByte(_ index: Int) -> UInt8 {
        let folded = Word.byte(of: Self.name(candidate), at: index)
        if spelling &>> UInt32(index) & 1 == 0 { return folded }
        return folded == Ascii.dash ? Ascii.underscore : folded & ~0x20
    }

    // MARK: The names

    private static var nameCount: UInt8 { @_noLocks get { 11 } }
    /// The first names are what all names of a family begin with.
    private static var familyCount: UInt8 { @_noLocks get { 2 } }

    /// None of them begins with another one.
    @_noLocks private static func name(_ number: UInt8) -> StaticString {
        switch number {
        case 0: "proxy-"
        case 1: "x-forwarded-"
        case 2: "host"
        case 3: "content-length"
        case 4: "transfer-encoding"
        case 5: "connection"
        case 6: "keep-alive"
        case 7: "te"
        case 8: "upgrade"
        case 9: "expect"
        default: "max-forwards"
        }
    }

    @_noLocks private static func beginEqually(_ one: StaticString, _ other: StaticString, _ count: Int) -> Bool {
        for index in 0..<count where Word.byte(of: one, at: index) != Word.byte(of: other, at: index) { return false }
        return true
    }
}
