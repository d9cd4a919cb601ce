import Registration
import Testing

@Test func `the first flag that is given twice is found, however it is written`() {
    for (arguments, found) in [
        (["--a", "1", "--b", "2"], nil), (["--a", "1", "--a", "2"], "--a"), (["--a=1", "--b", "2", "--a", "3"], "--a"),
        (["--a", "1", "--b=1", "--b=1", "--a=2"], "--b"), (["--many", "1", "--many=2"], nil),
        (["--a", "1", "--", "--a", "--a"], nil), (["x", "x", "-v", "-v"], nil), ([], nil),
    ] as [([String], String?)] {
        #expect(repeatedFlag(in: arguments, many: ["--many"]) == found, "\(arguments)")
    }
}
