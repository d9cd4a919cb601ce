internal import NIOCore

/// Writes samples of one family after the other. Names and labels are given as they are to stand there.
struct SampleWriter {
    let format: MetricsFormat
    var buffer = ByteBuffer()
    private var name = ""

    init(format: MetricsFormat) { self.format = format }

    /// The lines in front of a family's samples. In OpenMetrics a counter's family has no `_total`, and a unit is told.
    mutating func begin(_ family: Family) {
        name = family.sampleName
        let shown = format == .openMetrics ? family.name : name
        buffer.writeString("# HELP \(shown) \(family.help)\n# TYPE \(shown) \(family.kind.rawValue)\n")
        guard format == .openMetrics else { return }
        for unit in ["seconds", "bytes"] where shown.hasSuffix("_" + unit) {
            buffer.writeString("# UNIT \(shown) \(unit)\n")
        }
    }

    mutating func sample(_ labels: String, _ value: UInt64) { line("", labels, "\(value)") }

    mutating func sample(_ labels: String, _ value: Double) { line("", labels, "\(value)") }

    /// - Parameters:
    ///   - counts: of each bucket by itself; the last one is beyond all bounds.
    ///   - bounds: as `boundTexts` makes them, one for each bucket.
    ///   - sum: in microseconds.
    mutating func histogram(_ labels: String, _ counts: ArraySlice<UInt64>, bounds: [String], sum: UInt64) {
        var total: UInt64 = 0
        for (count, bound) in zip(counts, bounds) {
            total &+= count
            line("_bucket", labels + bound, "\(total)")
        }
        line("_sum", labels, "\(Double(sum) / 1e6)")
        line("_count", labels, "\(total)")
    }

    /// The labels of buckets, from bounds in microseconds.
    static func boundTexts(_ bounds: [UInt64]) -> [String] {
        (bounds.map { "\(Double($0) / 1e6)" } + ["+Inf"]).map { ",le=\"\($0)\"" }
    }

    /// Nothing comes behind it.
    mutating func end() {
        if format == .openMetrics { buffer.writeString("# EOF\n") }
    }

    private mutating func line(_ suffix: String, _ labels: String, _ value: String) {
        buffer.writeString(name)
        buffer.writeString(suffix)
        if !labels.isEmpty {
            buffer.writeString("{")
            buffer.writeString(labels)
            buffer.writeString("}")
        }
        buffer.writeString(" ")
        buffer.writeString(value)
        buffer.writeString("\n")
    }
}
