import HTTP1
import Testing

/// The path that a request is routed by.
@Suite struct RequestPathTests {
    private func path(_ target: String) -> String? {
        let scanned = ScannedRequest("GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(scanned.status == .complete, "\(target): \(scanned.head.refusal)")
        return scanned.path.map { String(decoding: $0, as: UTF8.self) }
    }

    @Test(
        "a path without anything to change is itself",
        arguments: ["/", "/a", "/a/", "/a/b.c", "//", "//a", "/a//b", "/a.", "/a..", "/a./b", "/a;b=c"])
    func plain(target: String) { #expect(path(target) == target) }

    @Test func theQueryTakesNoPart() {
        #expect(path("/a?b") == "/a")
        #expect(path("/a?/../..") == "/a")
        #expect(path("/?%") == "/")
        #expect(path("/a%20b?%zz") == "/a b")
        #expect(path("/a/./b?c/./d") == "/a/b")
    }

    @Test(
        "dot segments go, with what they climb over",
        arguments: [
            ("/.", "/"), ("/./", "/"), ("/a/.", "/a/"), ("/a/..", "/"), ("/a/../", "/"), ("/a/./b", "/a/b"),
            ("/a/../b", "/b"), ("/a/b/../../c", "/c"), ("/a/b/..", "/a/"), ("/a/...", "/a/..."), ("/.a", "/.a"),
            ("/..a", "/..a"), ("/a/.b/..c", "/a/.b/..c"), ("//..", "/"), ("/a//../b", "/a/b"), ("//../a", "/a"),
            ("/a/b/c/./../../g", "/a/g"), ("/.well-known/x", "/.well-known/x"), ("/a/..b/../c", "/a/c"),
        ])
    func dots(target: String, expected: String) { #expect(path(target) == expected) }

    @Test(
        "percent-encoding is decoded first, dots and slashes too",
        arguments: [
            ("/%61", "/a"), ("/%2e", "/"), ("/a/%2e%2e", "/"), ("/a/%2E.", "/"), ("/a/.%2e/b", "/b"),
            ("/a/%2e%2e%2fb", "/b"), ("/a%2f..%2fb", "/b"), ("/a%2Fb", "/a/b"), ("/%25", "/%"),
            ("/%252e%252e/a", "/%2e%2e/a"),
            ("/a%3fb", "/a?b"), ("/a%23", "/a#"), ("/%C3%a4", "/ä"), ("/%7e", "/~"), ("/a%20", "/a "),
            ("/%01", "/\u{1}"),
            ("/a%5c..%5cb", "/a\\..\\b"), ("/%2f", "//"), ("/%2f..", "/"),
        ])
    func decoded(target: String, expected: String) { #expect(path(target) == expected) }

    @Test(
        "a path that climbs above the root is none",
        arguments: [
            "/..", "/../", "/../a", "/a/../..", "/a/../../b", "/./..", "/%2e%2e", "/%2e%2e%2f", "/.%2e/a",
            "/a/%2e%2e/%2e%2e",
            "/..?x", "/..%2fa", "/%2e%2e/%2e%2e/etc/passwd",
        ])
    func climbing(target: String) { #expect(path(target) == nil) }

    @Test(
        "an invalid percent-encoding is none, and so is a null",
        arguments: [
            "/%", "/%2", "/%zz", "/%2g", "/%g2", "/a%", "/a%%20", "/%00", "/a%00b", "/%?", "/%2?0", "/%-1", "/%+0",
            "/a/%",
        ])
    func invalid(target: String) { #expect(path(target) == nil) }

    @Test func bytesBeyondAsciiAreOrdinary() {
        #expect(path("/ä/../ö") == "/ö")
        #expect(path("/ä") == "/ä")
    }

    @Test func absoluteTargetsHaveThePathBehindTheirAuthority() {
        #expect(path("http://b/c/../d?e") == "/d")
        #expect(path("http://b") == "/")
        #expect(path("http://b?c") == "/")
        #expect(path("http://b/") == "/")
        #expect(path("http://b/..") == nil)
        #expect(path("http://b//c") == "//c")
    }

    @Test func connectAndAsteriskCountAsTheRoot() {
        let connect = ScannedRequest("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(connect.path == Array("/".utf8))
        let options = ScannedRequest("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(options.path == Array("/".utf8))
    }

    @Test("a long path is found plain, and not plain, at every offset")
    func offsets() {
        for count in 1...70 {
            let start = "/" + String(repeating: "a", count: count)
            #expect(path(start) == start)
            #expect(path(start + "?x") == start)
            #expect(path(start + "/./x") == start + "/x")
            #expect(path(start + "%62") == start + "b")
            #expect(path(start + "/../b") == "/b")
        }
    }
}
