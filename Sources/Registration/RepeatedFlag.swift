/// The first flag that a command line has twice although it takes one value: the parser would go on with the last one
/// without a word. Both programs refuse that.
/// - Parameters:
///   - arguments: Those behind the program's name. What follows `--` is not ours.
///   - many: The flags that may be given several times.
package func repeatedFlag(in arguments: some Sequence<String>, many: Set<String>) -> String? {
    var seen: Set<Substring> = []
    for argument in arguments.prefix(while: { $0 != "--" }) where argument.hasPrefix("--") {
        let name = argument.prefix { $0 != "=" }
        guard many.contains(String(name)) || seen.insert(name).inserted else { return String(name) }
    }
    return nil
}

/// What the parser of flags says, for somebody who goes on behind it: one line, without the mark at its end.
package func clause(of message: String) -> String {
    var clause = message.split(separator: "\n").joined(separator: " ")
    while let last = clause.last, ".?!".contains(last) { clause.removeLast() }
    return clause
}
