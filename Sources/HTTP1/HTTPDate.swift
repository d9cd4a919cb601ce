/// What the Date field says (RFC 9110 §5.6.7, IMF-fixdate): `Sun, 06 Nov 1994 08:49:37 GMT`.
public enum HTTPDate {
    /// Bytes of every date.
    public static var byteCount: Int { @_noLocks get { 29 } }

    /// The last second of the year 9999; years have four digits.
    private static var lastSecond: UInt64 { @_noLocks get { 253_402_300_799 } }

    /// Writes a date. One text serves all replies of a second.
    ///
    /// - Parameters:
    ///   - secondsSinceEpoch: since 1970-01-01 00:00 UTC, leap seconds not counted. Beyond the year 9999 its last one.
    ///   - destination: at least ``byteCount`` bytes.
    @_noLocks public static func write(secondsSinceEpoch: UInt64, to destination: UnsafeMutableRawBufferPointer) {
        precondition(destination.count >= byteCount, "a date has room")
        let seconds = Int(min(secondsSinceEpoch, lastSecond))
        let days = seconds / 86_400
        let time = seconds % 86_400
        let date = Day(sinceEpoch: days)
        var writer = unsafe ByteWriter(destination)
        // The epoch was a Thursday.
        appendName("SunMonTueWedThuFriSat", (days &+ 4) % 7, &writer)
        writer.append(", ")
        append(date.day, &writer)
        writer.append(" ")
        appendName("JanFebMarAprMayJunJulAugSepOctNovDec", date.month &- 1, &writer)
        writer.append(" ")
        append(date.year / 100, &writer)
        append(date.year % 100, &writer)
        writer.append(" ")
        append(time / 3600, &writer)
        writer.append(":")
        append(time / 60 % 60, &writer)
        writer.append(":")
        append(time % 60, &writer)
        writer.append(" GMT")
    }

    /// Three letters of a list of names.
    @_noLocks private static func appendName(_ names: StaticString, _ index: Int, _ writer: inout ByteWriter) {
        for offset in 0..<3 { writer.append(Word.byte(of: names, at: 3 &* index &+ offset)) }
    }

    /// Two digits.
    @_noLocks private static func append(_ number: Int, _ writer: inout ByteWriter) {
        writer.append(Ascii.zero &+ UInt8(truncatingIfNeeded: number / 10))
        writer.append(Ascii.zero &+ UInt8(truncatingIfNeeded: number % 10))
    }

    /// A day of the Gregorian calendar. Years are counted from March on, so that the leap day is the last of its year.
    private struct Day {
        let year: Int
        /// 1 to 12.
        let month: Int
        /// 1 to 31.
        let day: Int

        /// - Precondition: not before the epoch.
        @_noLocks init(sinceEpoch days: Int) {
            // Since 0000-03-01; 400 years have 146 097 days.
            let shifted = days &+ 719_468
            let era = shifted / 146_097
            let dayOfEra = shifted % 146_097
            let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
            let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
            // Five months from March or August on have 153 days.
            let monthFromMarch = (5 * dayOfYear + 2) / 153
            day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
            month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
            year = 400 * era + yearOfEra + (month <= 2 ? 1 : 0)
        }
    }
}
