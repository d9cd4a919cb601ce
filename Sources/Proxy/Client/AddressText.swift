/// Addresses as text, for the forwarding fields (RFC 5952).
enum AddressText {
    /// The longest one has eight groups of four digits.
    static var longest: Int { @_noLocks get { 39 } }
    typealias Characters = InlineArray<39, UInt8>

    /// Writes the address and returns the number of characters. An unknown one is `unknown` (RFC 7239 §6.2).
    /// - Parameter family: 4 (in the last four bytes), 6, or anything else.
    @_noLocks
    static func write(
        _ bytes: borrowing InlineArray<16, UInt8>,
        family: Int32,
        to text: inout Characters
    ) -> Int {
        var writer = Writer()
        switch family {
        case 4:
            for place in 12..<16 {
                if place > 12 { writer.put(0x2E, &text) }
                writer.putDecimal(bytes[place], &text)
            }
        case 6: writeV6(bytes, &writer, &text)
        default: writer.putUnknown(&text)
        }
        return writer.count
    }

    /// Writes the address and port that a client has come to, as Host has them. Returns the number of characters, at
    /// most 47; 0 when it has none.
    /// - Parameters:
    ///   - addresses: the client's, ours (4 or 16 bytes each) and their ports, in network order (`Sockets.addresses`).
    ///   - family: 4, 6, or anything else.
    @_noLocks
    static func writeHost(
        ofOwn addresses: borrowing InlineArray<36, UInt8>, family: Int32, to space: UnsafeMutableRawBufferPointer
    ) -> Int {
        guard family == 4 || family == 6 else { return 0 }
        let size = family == 4 ? 4 : 16
        var bytes = InlineArray<16, UInt8>(repeating: 0)
        for place in 0..<size { bytes[16 - size + place] = addresses[size + place] }
        var text = Characters(repeating: 0)
        let textCount = write(bytes, family: family, to: &text)
        var count = 0
        if family == 6 { unsafe put(0x5B, &count, space) }
        for place in 0..<textCount { unsafe put(text[place], &count, space) }
        if family == 6 { unsafe put(0x5D, &count, space) }
        unsafe put(0x3A, &count, space)
        let port = UInt16(addresses[2 * size + 2]) << 8 | UInt16(addresses[2 * size + 3])
        var unit: UInt16 = port >= 10_000 ? 10_000 : port >= 1_000 ? 1_000 : port >= 100 ? 100 : port >= 10 ? 10 : 1
        while unit > 0 {
            unsafe put(0x30 + UInt8(truncatingIfNeeded: port / unit % 10), &count, space)
            unit /= 10
        }
        return count
    }

    private static func put(_ character: UInt8, _ count: inout Int, _ space: UnsafeMutableRawBufferPointer) {
        unsafe space[count] = character
        count += 1
    }

    @_noLocks
    static func words(_ bytes: borrowing InlineArray<16, UInt8>) -> (high: UInt64, low: UInt64) {
        var high: UInt64 = 0
        var low: UInt64 = 0
        for place in 0..<8 {
            high = high << 8 | UInt64(bytes[place])
            low = low << 8 | UInt64(bytes[place + 8])
        }
        return (high, low)
    }

    private static func group(_ bytes: borrowing InlineArray<16, UInt8>, _ number: Int) -> UInt16 {
        UInt16(bytes[2 * number]) << 8 | UInt16(bytes[2 * number + 1])
    }

    /// The longest run of two or more zero groups, the first of equals, becomes `::`.
    private static func writeV6(
        _ bytes: borrowing InlineArray<16, UInt8>,
        _ writer: inout Writer,
        _ text: inout Characters
    ) {
        var bestStart = 8
        var bestCount = 1
        var runStart = 0
        var runCount = 0
        for number in 0..<8 {
            if group(bytes, number) == 0 {
                if runCount == 0 { runStart = number }
                runCount += 1
                if runCount > bestCount {
                    bestStart = runStart
                    bestCount = runCount
                }
            } else {
                runCount = 0
            }
        }
        var number = 0
        while number < 8 {
            if number == bestStart {
                writer.put(0x3A, &text)
                if number == 0 { writer.put(0x3A, &text) }
                number += bestCount
                continue
            }
            writer.putHex(group(bytes, number), &text)
            number += 1
            if number < 8 { writer.put(0x3A, &text) }
        }
    }

    private struct Writer {
        var count = 0

        @_noLocks
        mutating func put(_ character: UInt8, _ text: inout Characters) {
            guard count < AddressText.longest else { return }
            text[count] = character
            count += 1
        }

        @_noLocks
        mutating func putDecimal(_ value: UInt8, _ text: inout Characters) {
            if value >= 100 { put(0x30 + value / 100, &text) }
            if value >= 10 { put(0x30 + value / 10 % 10, &text) }
            put(0x30 + value % 10, &text)
        }

        @_noLocks
        mutating func putHex(_ value: UInt16, _ text: inout Characters) {
            var shift: UInt16 = value >= 0x1000 ? 12 : value >= 0x100 ? 8 : value >= 0x10 ? 4 : 0
            while true {
                let digit = UInt8(truncatingIfNeeded: value >> shift) & 15
                put(digit < 10 ? 0x30 + digit : 0x57 + digit, &text)
                if shift == 0 { return }
                shift -= 4
            }
        }

        @_noLocks
        mutating func putUnknown(_ text: inout Characters) {
            put(0x75, &text)
            put(0x6E, &text)
            put(0x6B, &text)
            put(0x6E, &text)
            put(0x6F, &text)
            put(0x77, &text)
            put(0x6E, &text)
        }
    }
}
