/// A length of time as flags write it: a whole number and a unit, `500ms`, `30s`, `2m`, `1h`.
public struct TimeSpan: Hashable, Sendable {
    public let milliseconds: UInt64

    /// - Parameter milliseconds: at most `maximum`.
    public init(milliseconds: UInt64) {
        self.milliseconds = milliseconds
    }

    /// A year: nothing here takes longer, and no sum of times overflows.
    public static let maximum = TimeSpan(milliseconds: 365 * 24 * 3_600_000)

    /// - Throws: a sentence, for whatever has no unit, a sign, a fraction, or is longer than a year.
    public init(parsing text: String) throws(UnusableValue) {
        let (digits, unit) = splitNumber(text)
        guard let factor = Self.units.first(where: { $0.name == unit })?.milliseconds, !digits.isEmpty else {
            throw UnusableValue("a time is a whole number and a unit: 500ms, 30s, 2m or 1h")
        }
        guard let number = UInt64(digits), case let (value, isTooLong) = number.multipliedReportingOverflow(by: factor),
            !isTooLong, value <= Self.maximum.milliseconds
        else {
            throw UnusableValue("the longest time is a year, 8760h")
        }
        milliseconds = value
    }

    private static let units: [(name: Substring, milliseconds: UInt64)] = [
        ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000),
    ]
}

extension TimeSpan: CustomStringConvertible {
    /// In the largest unit that leaves no fraction, so that it can be given as a flag again.
    public var description: String {
        let unit = Self.units.last { milliseconds % $0.milliseconds == 0 && milliseconds >= $0.milliseconds }
        guard let unit else { return "0s" }
        return "\(milliseconds / unit.milliseconds)\(unit.name)"
    }
}

/// The digits that a text begins with, and what follows them.
func splitNumber(_ text: String) -> (digits: Substring, rest: Substring) {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    return (digits, text[digits.endIndex...])
}
