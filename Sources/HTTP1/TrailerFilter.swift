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

    private var held = InlineArray<17, UInt8>(repeating: 0)
    private var heldCount: UInt8 = 0
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
        let isEnd = byte == Ascii.colon
        if isEnd || Int(heldCount) == Self.longestHeld {
            if isEnd && isWhole { return decide(.droppedLine) }
            writeHeld(&writer)
            writer.append(byte)
            return decide(.keptLine)
        }
        held[Int(heldCount)] = byte
        heldCount &+= 1
        if isOfFamily { return decide(.droppedLine) }
        if !mayBecomeWhole {
            writeHeld(&writer)
            decide(.keptLine)
        }
    }

    @_noLocks private mutating func decide(_ place: Place) {
        heldCount = 0
        self.place = place
    }

    @_noLocks private func writeHeld(_ writer: inout ByteWriter) {
        for index in 0..<Int(heldCount) { writer.append(held[index]) }
    }

    // MARK: The names

    /// Whether all that is held is the name of a field that is ours.
    private var isWhole: Bool {
        @_noLocks get {
            switch heldCount {
            case 2: begins("te")
            case 4: begins("host")
            case 6: begins("expect")
            case 7: begins("upgrade")
            case 10: begins("connection") || begins("keep-alive")
            case 12: begins("max-forwards")
            case 14: begins("content-length")
            case 17: begins("transfer-encoding")
            default: false
            }
        }
    }

    /// Whether all that is held is what the names of a family begin with that is ours.
    private var isOfFamily: Bool {
        @_noLocks get { heldCount == 6 && begins("proxy-") || heldCount == 12 && begins("x-forwarded-") }
    }

    private var mayBecomeWhole: Bool {
        @_noLocks get {
            begins("te") || begins("host") || begins("expect") || begins("upgrade") || begins("connection")
                || begins("keep-alive") || begins("max-forwards") || begins("content-length")
                || begins("transfer-encoding") || begins("proxy-") || begins("x-forwarded-")
        }
    }

    /// Whether the name begins with what is held.
    @_noLocks private func begins(_ name: StaticString) -> Bool {
        let count = Int(heldCount)
        if count > name.utf8CodeUnitCount { return false }
        for index in 0..<count where Word.byte(of: name, at: index) != Ascii.folded(held[index]) { return false }
        return true
    }
}
