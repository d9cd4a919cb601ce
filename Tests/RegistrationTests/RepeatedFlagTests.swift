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

@Test func `what a parser says becomes a clause`() {
    #expect(
        clause(of: "Unknown option '--hol'. Did you mean '--hold'?") == "Unknown option '--hol'. Did you mean '--hold'")
    #expect(clause(of: "One.\nTwo.") == "One. Two")
    #expect(clause(of: "it is not a whole number") == "it is not a whole number")
}
