import Proxy
import Registration
import Testing

@testable import Control

struct FlagValueTests {
    @Test(
        arguments: [
            ("500ms", 500), ("30s", 30_000), ("2m", 120_000), ("1h", 3_600_000), ("0s", 0), ("0ms", 0),
            ("8760h", 31_536_000_000),
        ] as [(String, UInt64)])
    func aTimeIsANumberAndAUnit(text: String, milliseconds: UInt64) throws {
        #expect(try TimeSpan(parsing: text).milliseconds == milliseconds)
    }

    @Test(arguments: [
        "", "30", "s", "-5s", "5 s", " 5s", "5s ", "1.5s", "banana", "5S", "1d", "99999999999999999999s", "8761h",
        "+5s", "٣s",
        "18446744073709551615h",
    ])
    func otherTimesAreRefused(text: String) {
        #expect(throws: UnusableValue.self) { try TimeSpan(parsing: text) }
    }

    @Test(arguments: ["500ms", "30s", "2m", "1h", "0s", "1500ms", "90s"])
    func aTimeIsWrittenAsItCanBeRead(text: String) throws {
        #expect(try TimeSpan(parsing: text).description == text)
    }

    @Test(arguments: [("0", 0), ("1", 1), ("64k", 65_536), ("64K", 65_536), ("1m", 1 << 20), ("2g", 2 << 30)])
    func aSizeIsANumberAndPerhapsAUnit(text: String, bytes: Int) throws {
        #expect(try ByteCount(parsing: text).bytes == bytes)
    }

    @Test(arguments: ["", "k", "64q", "-1", "1.5m", "64 k", "64kb", "9223372036854775808", "9999999999g", "0x10"])
    func otherSizesAreRefused(text: String) {
        #expect(throws: UnusableValue.self) { try ByteCount(parsing: text) }
    }

    @Test func aSizeIsWrittenAsItCanBeRead() throws {
        for text in ["64k", "1m", "2g", "1025", "0", "1023k"] {
            #expect(try ByteCount(parsing: text).description == text)
        }
    }

    @Test func aSizeIsRoundedForPeople() {
        #expect(ByteCount(bytes: 721 << 20).rounded == "721 MiB")
        #expect(ByteCount(bytes: 400 << 10).rounded == "400 KiB")
        #expect(ByteCount(bytes: 1_500).rounded == "1.4 KiB")
        #expect(ByteCount(bytes: 1 << 40).rounded == "1024 GiB")
        #expect(ByteCount(bytes: 7).rounded == "7 bytes")
    }

    /// Forwarding fields are believed by mapped addresses, so the prefix counts from there.
    @Test(
        arguments: [
            ("10.0.0.0/8", 0, 0xffff_0a00_0000, 104), ("10.1.2.3/32", 0, 0xffff_0a01_0203, 128),
            ("127.0.0.1", 0, 0xffff_7f00_0001, 128), ("0.0.0.0/0", 0, 0xffff_0000_0000, 96), ("::1/128", 0, 1, 128),
            ("::/0", 0, 0, 0), ("2001:db8::/32", 0x2001_0db8_0000_0000, 0, 32),
            ("2001:db8::1", 0x2001_0db8_0000_0000, 1, 128), ("::ffff:10.0.0.0/104", 0, 0xffff_0a00_0000, 104),
        ] as [(String, UInt64, UInt64, Int)])
    func aNetworkIsAnAddressAndAPrefixLength(text: String, high: UInt64, low: UInt64, length: Int) throws {
        #expect(try TrustedNetwork(parsing: text).network == Network(high: high, low: low, prefixLength: length))
    }

    @Test(arguments: [
        ("10.1.2.3/8", "10.0.0.0/8", "10.1.2.3"), ("10.0.0.1/31", "10.0.0.0/31", "10.0.0.1"),
        ("1.0.0.0/0", "0.0.0.0/0", "1.0.0.0"), ("2001:db8::1/32", "2001:db8::/32", "2001:db8::1"),
        ("::1/127", "::/127", "::1"), ("2001:db8:0:0:8000::/64", "2001:db8::/64", "2001:db8:0:0:8000::"),
    ])
    func anAddressThatLooksLikeANetworkIsRefused(text: String, network: String, address: String) throws {
        let error = #expect(throws: UnusableValue.self) { try TrustedNetwork(parsing: text) }
        let sentence = try #require(error).description
        #expect(sentence.contains("write \(network) for the network, or \(address) for"), "\(sentence)")
        _ = try TrustedNetwork(parsing: network)
    }

    @Test(arguments: [
        "", "x", "localhost", "300.1.1.1/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/8/8", "/8", "::1/129",
        "[::1]/128", "10.0.0/8", "10.0.0.0/8x",
    ])
    func otherNetworksAreRefused(text: String) {
        #expect(throws: UnusableValue.self) { try TrustedNetwork(parsing: text) }
    }

    @Test(arguments: [
        ("127.0.0.1:9999", ControlAddress.tcp(.loopback, port: 9999)), ("localhost:1", .tcp(.loopback, port: 1)),
        ("[::1]:9999", .tcp(.ipv6(high: 0, low: 1), port: 9999)), (":80", .tcp(.all, port: 80)),
        ("*:80", .tcp(.all, port: 80)),
        ("0.0.0.0:0", .tcp(.ipv4(0), port: 0)), ("unix:/run/x", .unix(path: "/run/x")), ("unix:x", .unix(path: "x")),
        ("unix:./@x", .unix(path: "./@x")), ("unix:@x", .abstract(name: "x")), ("unix:@/x y", .abstract(name: "/x y")),
        ("unix:@" + String(repeating: "x", count: 107), .abstract(name: String(repeating: "x", count: 107))),
    ])
    func aControlAddressIsAnAddressAndAPortOrAPath(text: String, address: ControlAddress) throws {
        #expect(try ControlAddress(parsing: text) == address)
    }

    @Test(arguments: [
        "nonsense", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1:", "unix:", "::1:80", "example.com:80",
        "127.0.0.1:8x", "unix:@", "unix:@a\0b", "unix:@" + String(repeating: "x", count: 108), "unix:@x,mode=0600",
        "unix:" + String(repeating: "x", count: 108),
    ])
    func otherControlAddressesAreRefused(text: String) {
        #expect(throws: UnusableValue.self) { try ControlAddress(parsing: text) }
    }

    @Test(
        arguments: [
            ("unix:/x,mode=0660", SocketAccess(mode: 0o660, group: nil)), ("unix:/x,mode=600", .owner),
            ("unix:/x,group=web", SocketAccess(mode: 0o660, group: "web")),
            ("unix:/x,group=12,mode=0620", SocketAccess(mode: 0o620, group: "12")),
            ("unix:/x,mode=0000,group=web", SocketAccess(mode: 0, group: "web")),
        ] as [(String, SocketAccess)])
    func behindAPathIsWhoMayConnect(text: String, access: SocketAccess) throws {
        let address = try ControlAddress(parsing: text)
        #expect(address == .unix(path: "/x", access: access))
        #expect(try ControlAddress(parsing: "\(address)") == address)
    }

    @Test(arguments: [
        "", "mode=", "mode=0888", "mode=1777", "mode=66", "mode=00660", "mode=-660", "mode=0o660", "mode=rw-rw----",
        "mode=0660,mode=0660", "group=", "group=a,group=b", "owner=root", "mod=0660", "b.sock", "mode=0660,",
        "MODE=0660", " mode=0660",
    ])
    func otherOptionsOfAPathAreRefused(options: String) {
        #expect(throws: UnusableValue.self) { try ControlAddress(parsing: "unix:/x,\(options)") }
    }

    @Test func onlyOtherMachinesMakeAControlAddressPublic() throws {
        for text in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:x"] {
            #expect(try !ControlAddress(parsing: text).isPublic)
        }
        for text in [":1", "0.0.0.0:1", "10.0.0.1:1", "[::]:1", "[2001:db8::1]:1"] {
            #expect(try ControlAddress(parsing: text).isPublic)
        }
    }
}

struct SettingsTests {
    @Test func theDefaultsAreInTheirRanges() throws {
        try Settings().check()
    }

    @Test(
        arguments: [
            { $0.reactors = 0 }, { $0.reactors = 255 }, { $0.maximumConnections = 0 }, { $0.maximumSessions = 0 },
            { $0.maximumPending = 0 }, { $0.backlog = 0 }, { $0.holdLimit = -1 }, { $0.ringEntries = 100 },
            { $0.receiveBuffers = 48 }, { $0.receiveBufferSize = ByteCount(bytes: 1000) },
            { $0.headLimit = ByteCount(bytes: 100) },
            { $0.bufferLimit = ByteCount(bytes: 1000) }, { $0.idleTimeout = TimeSpan(milliseconds: 0) },
            { $0.controlAddresses = [] },
        ] as [@Sendable (inout Settings) -> Void])
    func aValueOutOfItsRangeIsRefused(change: @Sendable (inout Settings) -> Void) {
        var settings = Settings()
        change(&settings)
        #expect(throws: UnusableValue.self) { try settings.check() }
    }
}

struct DescriptorBudgetTests {
    /// Whoever is let in must not take a descriptor that somebody else was promised.
    @Test(arguments: [256, 1024, 4096, 20_000, 65_536, 1_048_576, 1_073_741_816], [1, 2, 8])
    func theSumNeverExceedsTheLimit(limit: Int, reactors: Int) throws {
        let budget = try DescriptorBudget(limit: limit, settings: Settings(), reactors: reactors)
        #expect(budget.sum <= limit)
        #expect(budget.connections >= 1 && budget.sessions >= 1 && budget.pending >= 1 && budget.listeners >= 1)
        #expect(budget.connections <= Settings.connectionCeiling)
    }

    @Test func moreThanTheLimitAllowsIsRefused() {
        var settings = Settings()
        settings.maximumConnections = 20_000
        #expect(throws: StartFailure.self) { try DescriptorBudget(limit: 20_000, settings: settings, reactors: 2) }
        #expect(throws: StartFailure.self) { try DescriptorBudget(limit: 32, settings: Settings(), reactors: 2) }
    }

    /// What is divided by default grows with the limit.
    @Test(arguments: [30, 64, 70, 80, 5_000]) func theSentenceNamesALimitThatWouldDo(limit: Int) throws {
        var settings = Settings()
        if limit > 1_000 { settings.maximumConnections = 10_000 }
        do {
            _ = try DescriptorBudget(limit: limit, settings: settings, reactors: 2)
            Issue.record("\(limit) is enough")
        } catch {
            let named = error.description.firstMatch(of: /need (\d+) descriptors/).flatMap { Int($0.output.1) }
            let enough = try #require(named)
            #expect(enough > limit && enough < 4 * limit + 100)
            _ = try DescriptorBudget(limit: enough, settings: settings, reactors: 2)
        }
    }

    @Test func whatFlagsSayIsKept() throws {
        var settings = Settings()
        settings.maximumConnections = 64
        settings.maximumSessions = 10
        settings.maximumPending = 7
        let budget = try DescriptorBudget(limit: 1024, settings: settings, reactors: 1)
        #expect(budget.connections == 64 && budget.sessions == 10 && budget.pending == 7)
    }
}

struct LogTests {
    /// A service must not be able to write lines of its own into the log.
    @Test func whatServicesSayIsOneLineInTheLog() {
        #expect(logText("a\nb\u{1b}[31m\u{202e}") == "a\\nb\\u{1B}[31m\\u{202E}")
        #expect(logText(String(repeating: "x", count: 1_000)).count < 100)
    }
}
