import Glibc
import Testing

@testable import Proxy

private func text(_ groups: [UInt16]) -> String {
    var bytes = InlineArray<16, UInt8>(repeating: 0)
    for (place, group) in groups.enumerated() {
        bytes[2 * place] = UInt8(group >> 8)
        bytes[2 * place + 1] = UInt8(group & 0xff)
    }
    return text(bytes, family: 6)
}

private func text(_ bytes: InlineArray<16, UInt8>, family: Int32) -> String {
    var characters = AddressText.Characters(repeating: 0x21)
    let count = AddressText.write(bytes, family: family, to: &characters)
    // Nothing is written behind the text.
    #expect((count..<AddressText.longest).allSatisfy { characters[$0] == 0x21 })
    return String(decoding: (0..<count).map { characters[$0] }, as: UTF8.self)
}

@Test(
    arguments: [
        ([0, 0, 0, 0], "0.0.0.0"),
        ([127, 0, 0, 1], "127.0.0.1"),
        ([255, 255, 255, 255], "255.255.255.255"),
        ([1, 10, 100, 200], "1.10.100.200"),
        ([9, 99, 109, 190], "9.99.109.190"),
    ] as [([UInt8], String)])
func `an IPv4 address is four decimal numbers without leading zeros`(octets: [UInt8], expected: String) {
    var bytes = InlineArray<16, UInt8>(repeating: 0xff)
    for place in 0..<4 { bytes[12 + place] = octets[place] }
    #expect(text(bytes, family: 4) == expected)
}

/// RFC 5952 section 4, with the examples of the sections named.
@Test(
    arguments: [
        // 4.1: no leading zeros.
        ([0x2001, 0x0db8, 0xaaaa, 0xbbbb, 0xcccc, 0xdddd, 0xeeee, 0x0001], "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1"),
        ([0x2001, 0xdb8, 1, 1, 1, 1, 1, 1], "2001:db8:1:1:1:1:1:1"),
        // 4.2.1: as short as possible.
        ([0x2001, 0xdb8, 0, 0, 0, 0, 2, 1], "2001:db8::2:1"),
        // 4.2.2: one zero group is written out.
        ([0x2001, 0xdb8, 0, 1, 1, 1, 1, 1], "2001:db8:0:1:1:1:1:1"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "0:1:2:3:4:5:6:7"),
        ([1, 2, 3, 4, 5, 6, 7, 0], "1:2:3:4:5:6:7:0"),
        // 4.2.3: the longest run, and the first of equals.
        ([0x2001, 0, 0, 1, 0, 0, 0, 1], "2001:0:0:1::1"),
        ([0x2001, 0xdb8, 0, 0, 1, 0, 0, 1], "2001:db8::1:0:0:1"),
        ([0, 0, 1, 0, 0, 2, 0, 0], "::1:0:0:2:0:0"),
        ([1, 0, 0, 2, 0, 0, 0, 3], "1:0:0:2::3"),
        // 4.3: lower case.
        ([0xABCD, 0xEF01, 0xA, 0xB, 0xC, 0xD, 0xE, 0xF], "abcd:ef01:a:b:c:d:e:f"),
        // Runs at the edges.
        ([0, 0, 0, 0, 0, 0, 0, 0], "::"),
        ([0, 0, 0, 0, 0, 0, 0, 1], "::1"),
        ([1, 0, 0, 0, 0, 0, 0, 0], "1::"),
        ([0, 0, 1, 2, 3, 4, 5, 6], "::1:2:3:4:5:6"),
        ([1, 2, 3, 4, 5, 6, 0, 0], "1:2:3:4:5:6::"),
        ([0, 0, 0, 0, 0, 0, 1, 0], "::1:0"),
        // The longest there is.
        ([0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff], "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ([0x1000, 0x100, 0x10, 1, 0xf000, 0xf00, 0xf0, 0xf], "1000:100:10:1:f000:f00:f0:f"),
    ] as [([UInt16], String)])
func `an IPv6 address is written as RFC 5952 has it`(groups: [UInt16], expected: String) {
    #expect(text(groups) == expected)
}

/// The C library reads every one of the 256 patterns of zero groups as the address that it came from.
@Test func `every pattern of zero groups reads as the same address`() {
    for pattern in 0..<256 {
        let groups = (0..<8).map { place -> UInt16 in
            (pattern >> place) & 1 == 1 ? 0xa0 + UInt16(place) : 0
        }
        let written = text(groups)
        var address = in6_addr()
        let isAddress = unsafe inet_pton(AF_INET6, written, &address) == 1
        let bytes = unsafe withUnsafeBytes(of: address) { unsafe Array($0) }
        #expect(isAddress && bytes == groups.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xff)] }, "\(written)")
        #expect(written.split(separator: "::", omittingEmptySubsequences: false).count <= 2, "\(written)")
    }
}

@Test(arguments: [0, 1, 5, -1] as [Int32])
func `a client without an address is unknown`(family: Int32) {
    #expect(text(InlineArray<16, UInt8>(repeating: 1), family: family) == "unknown")
}

@Test func `an address as two words keeps the order of its bytes`() {
    var bytes = InlineArray<16, UInt8>(repeating: 0)
    for place in 0..<16 { bytes[place] = UInt8(place + 1) }
    let words = AddressText.words(bytes)
    #expect(words.high == 0x0102_0304_0506_0708 && words.low == 0x090a_0b0c_0d0e_0f10)
}
