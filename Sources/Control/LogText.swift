internal import Registration

/// A text of a peer for the log: at most 80 characters, with everything escaped that could break a line or disguise
/// itself, and without what looks like a key.
func logText(_ text: String) -> String {
    var result = ""
    for (index, scalar) in text.withoutKeys.unicodeScalars.enumerated() {
        if index == 80 { return result + "..." }
        result += scalar.escaped(asASCII: true)
    }
    return result
}

/// `1 session`, `2 sessions`.
func counted(_ count: Int, _ noun: String) -> String {
    "\(count) \(noun)\(count == 1 ? "" : "s")"
}
