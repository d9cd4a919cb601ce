/// The bytes that HTTP/1.1 gives a meaning to. Computed, because a stored static would be initialised lazily, with a
/// lock.
enum Ascii {
    static var null: UInt8 { @_noLocks @inline(__always) get { 0x00 } }
    static var tab: UInt8 { @_noLocks @inline(__always) get { 0x09 } }
    static var lineFeed: UInt8 { @_noLocks @inline(__always) get { 0x0a } }
    static var carriageReturn: UInt8 { @_noLocks @inline(__always) get { 0x0d } }
    static var space: UInt8 { @_noLocks @inline(__always) get { 0x20 } }
    static var quote: UInt8 { @_noLocks @inline(__always) get { 0x22 } }
    static var hash: UInt8 { @_noLocks @inline(__always) get { 0x23 } }
    static var percent: UInt8 { @_noLocks @inline(__always) get { 0x25 } }
    static var asterisk: UInt8 { @_noLocks @inline(__always) get { 0x2a } }
    static var comma: UInt8 { @_noLocks @inline(__always) get { 0x2c } }
    static var dash: UInt8 { @_noLocks @inline(__always) get { 0x2d } }
    static var dot: UInt8 { @_noLocks @inline(__always) get { 0x2e } }
    static var slash: UInt8 { @_noLocks @inline(__always) get { 0x2f } }
    static var zero: UInt8 { @_noLocks @inline(__always) get { 0x30 } }
    static var colon: UInt8 { @_noLocks @inline(__always) get { 0x3a } }
    static var semicolon: UInt8 { @_noLocks @inline(__always) get { 0x3b } }
    static var question: UInt8 { @_noLocks @inline(__always) get { 0x3f } }
    static var leftBracket: UInt8 { @_noLocks @inline(__always) get { 0x5b } }
    static var backslash: UInt8 { @_noLocks @inline(__always) get { 0x5c } }
    static var rightBracket: UInt8 { @_noLocks @inline(__always) get { 0x5d } }
    static var underscore: UInt8 { @_noLocks @inline(__always) get { 0x5f } }
    static var delete: UInt8 { @_noLocks @inline(__always) get { 0x7f } }

    @_noLocks @inline(__always) static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    @_noLocks @inline(__always) static func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 }

    /// A control other than HTAB: what neither a field value nor a reason phrase may hold (RFC 9110 §5.5).
    @_noLocks @inline(__always) static func isControl(_ byte: UInt8) -> Bool {
        byte < 0x20 && byte != tab || byte == delete
    }

    @_noLocks @inline(__always) static func isBlank(_ byte: UInt8) -> Bool { byte == space || byte == tab }

    /// Whether the byte may stand in a token (RFC 9110 §5.6.2). A bit for each ASCII byte, in two words.
    @_noLocks @inline(__always) static func isToken(_ byte: UInt8) -> Bool {
        let word: UInt64 = byte < 0x40 ? 0x03ff_6cfa_0000_0000 : 0x57ff_ffff_c7ff_fffe
        return byte < 0x80 && word &>> UInt64(byte & 0x3f) & 1 != 0
    }

    /// The byte of a name as programs see it that take `_` for `-`, in lower case.
    @_noLocks @inline(__always) static func folded(_ byte: UInt8) -> UInt8 {
        if isLetter(byte) { return byte | 0x20 }
        return byte == underscore ? dash : byte
    }

    /// The value of a hexadecimal digit, or 255 for any other byte.
    @_noLocks @inline(__always) static func hexValue(_ byte: UInt8) -> UInt8 {
        if isDigit(byte) { return byte &- 0x30 }
        let letter = (byte | 0x20) &- 0x61
        return letter < 6 ? letter &+ 10 : 255
    }
}
