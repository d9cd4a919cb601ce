import Registration
import Testing
import TestSupport

@Test(arguments: [
    ("", "*"), ("::", "*"), ("[::]", "*"), ("0:0:0:0:0:0:0:0", "*"),
    ("localhost", "127.0.0.1"), ("LocalHost", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"),
    ("255.255.255.255", "255.255.255.255"), ("::ffff:10.0.0.1", "10.0.0.1"), ("[::ffff:a00:1]", "10.0.0.1"),
    ("::1", "[::1]"), ("[::1]", "[::1]"), ("0:0:0:0:0:0:0:1", "[::1]"), ("::0001", "[::1]"), ("1::", "[1::]"),
    ("2001:DB8::A", "[2001:db8::a]"), ("2001:db8:0:0:1:0:0:1", "[2001:db8::1:0:0:1]"),
    ("2001:db8:0:1:1:1:1:1", "[2001:db8:0:1:1:1:1:1]"), ("2001:0:0:1:0:0:0:1", "[2001:0:0:1::1]"),
    ("1:2:3:4:5:6:7::", "[1:2:3:4:5:6:7:0]"), ("::2:3:4:5:6:7:8", "[0:2:3:4:5:6:7:8]"),
    ("64:ff9b::192.0.2.33", "[64:ff9b::c000:221]"), ("1:2:3:4:5:6:1.2.3.4", "[1:2:3:4:5:6:102:304]"),
])
func `addresses that mean the same are one address`(text: String, canonical: String) throws {
    let address = try ListenAddress(parsing: text)
    #expect(address.description == canonical)
    if canonical != "*" {
        #expect(try ListenAddress(parsing: canonical) == address)
    }
}

@Test(arguments: [
    " ", "*", "example.com", "localhost.", "127.0.0.1:80", "127.0.0", "127.0.0.1.", "127.0.0.1.1", "127.0.0.256",
    "127.0.0.01", "0x7f.0.0.1", "127.0.0.-1", "127.0.0.+1", "127..0.1", "2130706433", "[127.0.0.1]", "[localhost]",
    "[]", "[", "]", ":",
    ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1::2::3", "12345::", "g::",
    "::1:",
    ":1::", "1:", "::1.2.3", "1.2.3.4::", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "[::1]:80", "[::1", "::1]", "[[::1]]",
    "::ä", "::-1", "::+1",
    "1\u{0}", "127.0.0.1\n",
])
func `what is no address is refused and told so`(text: String) {
    #expect(throws: RegistrationRefusal.addressUnknown(text)) { try ListenAddress(parsing: text) }
}

@Test(arguments: ["fe80::1%eth0", "[fe80::1%25eth0]", "%", "fe80::1%"])
func `scopes are refused`(text: String) {
    #expect(throws: RegistrationRefusal.addressScoped(text)) { try ListenAddress(parsing: text) }
}

@Test(arguments: [
    ("fe80::1", UnusableAddress.linkLocal), ("[febf:ffff::]", .linkLocal), ("224.0.0.1", .multicast),
    ("239.255.255.255", .multicast), ("ff02::1", .multicast), ("::ffff:224.0.0.1", .multicast),
    ("255.255.255.255", .broadcast), ("0.0.0.1", .thisNetwork), ("::ffff:0.1.2.3", .thisNetwork),
])
func `addresses on which nobody could be served are read and not listened on`(text: String, reason: UnusableAddress) {
    #expect(throws: Never.self) { try ListenAddress(parsing: text) }
    #expect(throws: RegistrationRefusal.addressUnusable(text, reason)) { try ListenAddress(toListenOn: text) }
}

@Test(arguments: [
    "", "0.0.0.0", "::", "[::]", "::ffff:0.0.0.0", "localhost", "127.0.0.1", "169.254.1.1", "223.255.255.255",
    "240.0.0.1",
    "::1", "fec0::1", "fe7f::1", "fd00::1", "2001:db8::1", "1.0.0.0",
])
func `addresses that a machine may have are listened on`(text: String) throws {
    #expect(try ListenAddress(toListenOn: text) == ListenAddress(parsing: text))
}

@Test func `wildcards overlap what they contain and nothing else does`() throws {
    let texts = ["", "0.0.0.0", "127.0.0.1", "10.0.0.1", "::1", "2001:db8::1"]
    let overlapping: Set<[String]> = [["0.0.0.0", "127.0.0.1"], ["0.0.0.0", "10.0.0.1"]]
    for left in texts {
        for right in texts {
            let expected =
                left == right || left.isEmpty || right.isEmpty || overlapping.contains([left, right])
                || overlapping.contains([right, left])
            let address = try ListenAddress(parsing: left)
            #expect(address.overlaps(try ListenAddress(parsing: right)) == expected, "\(left) and \(right)")
        }
    }
}

@Test func `addresses are given in network order`() throws {
    #expect(try ListenAddress(parsing: "1.2.3.4").networkBytes == [1, 2, 3, 4])
    #expect(
        try ListenAddress(parsing: "102:304::f0e").networkBytes == [1, 2, 3, 4] + .init(repeating: 0, count: 10) + [
            15, 14,
        ])
    #expect(ListenAddress.all.networkBytes == .init(repeating: 0, count: 16))
}

@Test(arguments: UInt64(0)..<200)
func `what is written of an address is read as the same address`(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    var groups = (0..<8).map { _ in UInt16.random(in: 0...0xffff, using: &generator) }
    for index in groups.indices where Int.random(in: 0...9, using: &generator) < 6 {
        groups[index] = 0
    }
    let text = groups.map { String($0, radix: 16, uppercase: seed % 2 == 0) }.joined(separator: ":")
    let address = try ListenAddress(parsing: text)
    #expect(
        address.networkBytes.count == 4 || address.networkBytes == groups.flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] })
    if address != .all {
        #expect(try ListenAddress(parsing: address.description) == address, "seed \(seed): \(text)")
    }
}

@Test(arguments: UInt64(0)..<300)
func `texts of the letters of addresses never trap`(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let letters = Array("0123456789abcdefF:::...[]%x ")
    for _ in 0..<50 {
        let text = String(
            (0..<Int.random(in: 0...24, using: &generator)).map { _ in letters.randomElement(using: &generator)! })
        if let address = try? ListenAddress(parsing: text), address != .all {
            #expect((try? ListenAddress(parsing: address.description)) == address, "seed \(seed): \(text)")
        }
    }
}
