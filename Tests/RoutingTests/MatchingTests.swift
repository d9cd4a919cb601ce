import Routing
import Testing

@Test func `a suffix matches the host itself and whole labels to its left`() {
    withSnapshot([http(1, "example.com", "")]) { snapshot in
        #expect(snapshot.match("example.com", "/") == 1)
        #expect(snapshot.match("a.example.com", "/") == 1)
        #expect(snapshot.match("a.b.c.example.com", "/") == 1)
        #expect(snapshot.match("notexample.com", "/") == nil)
        #expect(snapshot.match("example.com.org", "/") == nil)
        #expect(snapshot.match("xample.com", "/") == nil)
        #expect(snapshot.match("com", "/") == nil)
        #expect(snapshot.match("", "/") == nil)
    }
}

@Test func `a leading dot matches sub-domains only`() {
    withSnapshot([http(1, ".example.com", "")]) { snapshot in
        #expect(snapshot.match("a.example.com", "/") == 1)
        #expect(snapshot.match("b.a.example.com", "/") == 1)
        #expect(snapshot.match("example.com", "/") == nil)
        #expect(snapshot.match(".example.com", "/") == nil)
        #expect(snapshot.match("notexample.com", "/") == nil)
    }
}

@Test func `a leading dot counts in the length of a suffix`() {
    withSnapshot([http(1, "example.com", ""), http(2, ".example.com", "")]) { snapshot in
        #expect(snapshot.match("example.com", "/") == 1)
        #expect(snapshot.match("a.example.com", "/") == 2)
    }
}

@Test func `an empty suffix matches everything, requests without a host included`() {
    withSnapshot([http(1, "", "")]) { snapshot in
        for host in ["", "a", "a.b", "[::1]", "..", "ä"] {
            #expect(snapshot.match(host, "/") == 1)
        }
    }
}

@Test func `hosts match in any case, paths only in their own`() {
    withSnapshot([http(1, "xn--abc-09.example_z.com", "/Path")]) { snapshot in
        #expect(snapshot.match("XN--ABC-09.EXAMPLE_Z.COM", "/Path") == 1)
        #expect(snapshot.match("www.xN--aBc-09.eXAMPLE_z.cOm", "/Pathology") == 1)
        #expect(snapshot.match("xn--abc-09.example_z.com", "/path") == nil)
        #expect(snapshot.match("xn--abc-09.example_z.com", "/PATH") == nil)
    }
}

@Test func `folding changes letters of ASCII and nothing else`() {
    withSnapshot([http(1, "[a]@{z}", "")]) { snapshot in
        #expect(snapshot.match("[A]@{Z}", "/") == 1)
        #expect(snapshot.match("{a}@{z}", "/") == nil)
        #expect(snapshot.match("[a]`{z}", "/") == nil)
        #expect(snapshot.match(listener: 0, host: [0xdb] + Array("a]@{z}".utf8), path: [0x2f]) == nil)
    }
}

@Test func `a prefix matches byte by byte, not by segments`() {
    withSnapshot([http(1, "", "/a")]) { snapshot in
        #expect(snapshot.match("", "/a") == 1)
        #expect(snapshot.match("", "/ab") == 1)
        #expect(snapshot.match("", "/a/b") == 1)
        #expect(snapshot.match("", "/") == nil)
        #expect(snapshot.match("", "/b") == nil)
        #expect(snapshot.match("", "") == nil)
    }
}

@Test func `the longest suffix comes first, then the longest prefix`() {
    let routes = [
        http(1, "", ""), http(2, "", "/a"), http(3, "", "/a/long/prefix"), http(4, "com", "/"),
        http(5, "example.com", "/a"), http(6, "example.com", "/a/b"),
    ]
    withSnapshot(routes) { snapshot in
        #expect(snapshot.match("example.com", "/a/b/c") == 6)
        #expect(snapshot.match("example.com", "/a/long/prefix") == 5)
        #expect(snapshot.match("org", "/a/long/prefix") == 3)
        #expect(snapshot.match("org", "/a/long/prefi") == 2)
        #expect(snapshot.match("org", "/b") == 1)
        #expect(snapshot.match("net.com", "/a/b/c") == 4)
    }
}

@Test func `where the longest suffix has no path that fits, the next shorter one is asked`() {
    let routes = [
        http(1, "", "/rest"), http(2, "com", "/x"), http(3, ".example.com", "/y"), http(4, "api.example.com", "/z"),
        http(5, "example.com", "/only-here"),
    ]
    withSnapshot(routes) { snapshot in
        #expect(snapshot.match("api.example.com", "/z") == 4)
        #expect(snapshot.match("api.example.com", "/y") == 3)
        #expect(snapshot.match("api.example.com", "/only-here") == 5)
        #expect(snapshot.match("api.example.com", "/x") == 2)
        #expect(snapshot.match("api.example.com", "/rest") == 1)
        #expect(snapshot.match("api.example.com", "/none") == nil)
        #expect(snapshot.match("example.com", "/y") == nil)
    }
}

@Test func `held routes take part`() {
    let session = SessionHandle(reactor: 0, index: 0, generation: 0)
    let served = RouteDefinition(
        id: 1, kind: .http(domainSuffix: "", pathPrefix: "/"), sessions: [session], reuseStreams: false)
    withSnapshot([served, http(2, "", "/api")]) { snapshot in
        #expect(snapshot.match("", "/api/users") == 2)
        #expect(snapshot.match("", "/index") == 1)
    }
}

@Test func `prefixes that differ only beyond what looks alike are different`() {
    withSnapshot([http(1, "", "/\u{e9}"), http(2, "", "/e\u{301}")]) { snapshot in
        #expect(snapshot.match("", "/\u{e9}") == 1)
        #expect(snapshot.match("", "/e\u{301}") == 2)
    }
}

@Test func `listeners do not see each other's routes`() {
    let listeners = [
        ListenerDefinition(index: 5, routes: [http(1, "a", "/x")]),
        ListenerDefinition(index: 2, routes: [http(2, "a", "/x"), http(3, "", "/y")], certificates: 64),
        ListenerDefinition(index: 3, routes: []),
    ]
    withSnapshot(of: listeners) { snapshot in
        #expect(snapshot.match(listener: 5, "a", "/x") == 1)
        #expect(snapshot.match(listener: 5, "a", "/y") == nil)
        #expect(snapshot.match(listener: 2, "a", "/x") == 2)
        #expect(snapshot.match(listener: 2, "a", "/y") == 3)
        for listener in [-1, 0, 1, 3, 4, 6, .max, .min] {
            #expect(snapshot.match(listener: listener, "a", "/x") == nil)
        }
    }
}

@Test func `keys of every length around whole words are found and told apart`() {
    let lengths = 1...40
    let domains = lengths.map { http(UInt32($0), String(repeating: "d", count: $0), "") }
    let paths = lengths.map { http(UInt32(100 + $0), "", "/" + String(repeating: "p", count: $0)) }
    withSnapshot(domains + paths) { snapshot in
        for length in lengths {
            let label = String(repeating: "D", count: length)
            #expect(snapshot.match(label, "/") == UInt32(length))
            #expect(snapshot.match("w." + label, "/") == UInt32(length))
            #expect(snapshot.match("e" + label, "/") == nil)
            let path = "/" + String(repeating: "p", count: length)
            #expect(snapshot.match("", path) == UInt32(100 + length))
            #expect(snapshot.match("", path + "q") == UInt32(100 + length))
            #expect(snapshot.match("other.host", path) == UInt32(100 + length))
        }
        #expect(snapshot.match(String(repeating: "d", count: 41), "/") == nil)
        #expect(snapshot.match("", "/" + String(repeating: "p", count: 10_000)) == 140)
    }
}
