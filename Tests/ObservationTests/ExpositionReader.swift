import NIOCore
import Testing

@testable import Control
@testable import Observation

/// Metrics as a scraper reads them. Whatever is not as the formats have it is an issue.
struct ExpositionReader {
    struct Sample: Equatable {
        let name: String
        let labels: [String: String]
        let value: String
    }

    private(set) var samples: [Sample] = []
    /// In their order.
    private(set) var families: [String] = []
    private(set) var types: [String: String] = [:]

    init(_ report: Report, format: MetricsFormat = .prometheus) {
        let text = metrics(report, format: format)
        var ofFamily = ""
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            if line.hasPrefix("#") {
                let words = line.split(separator: " ", maxSplits: 3).map(String.init)
                if words[1] == "HELP" {
                    ofFamily = words[2]
                    if families.contains(ofFamily) { Issue.record("\(ofFamily) comes twice") }
                    families.append(ofFamily)
                }
                if words[1] == "TYPE" { types[words[2]] = words[3] }
                continue
            }
            guard let sample = Self.sample(line[...]) else {
                Issue.record("not a sample: \(line)")
                continue
            }
            if !sample.name.hasPrefix(ofFamily) { Issue.record("\(sample.name) is not in its family") }
            samples.append(sample)
        }
        let distinct = Set(samples.map { "\($0.name)\($0.labels.sorted { $0.key < $1.key })" })
        #expect(distinct.count == samples.count, "a series comes twice")
    }

    /// The values of a name, of those with these labels among theirs.
    func values(_ name: String, _ labels: [String: String] = [:]) -> [String] {
        samples.filter { sample in
            sample.name == name && labels.allSatisfy { sample.labels[$0.key] == $0.value }
        }.map(\.value)
    }

    func value(_ name: String, _ labels: [String: String] = [:]) -> String? {
        let values = values(name, labels)
        return values.count == 1 ? values[0] : nil
    }

    private static func sample(_ line: Substring) -> Sample? {
        let name = line.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == ":") }
        var rest = line[name.endIndex...]
        var labels: [String: String] = [:]
        if rest.first == "{" {
            rest = rest.dropFirst()
            while rest.first != "}" {
                let label = rest.prefix { $0 != "=" }
                rest = rest[label.endIndex...].dropFirst()
                guard rest.first == "\"", labels[String(label)] == nil else { return nil }
                rest = rest.dropFirst()
                guard let value = quoted(&rest) else { return nil }
                labels[String(label)] = value
                if rest.first == "," { rest = rest.dropFirst() }
            }
            rest = rest.dropFirst()
        }
        guard rest.first == " ", Double(rest.dropFirst()) != nil, !name.isEmpty else { return nil }
        return Sample(name: String(name), labels: labels, value: String(rest.dropFirst()))
    }

    /// Up to the quote that closes it.
    private static func quoted(_ rest: inout Substring) -> String? {
        var value = ""
        while let character = rest.popFirst() {
            switch character {
            case "\"": return value
            case "\\":
                switch rest.popFirst() {
                case "n": value += "\n"
                case "\\": value += "\\"
                case "\"": value += "\""
                default: return nil
                }
            default: value.append(character)
            }
        }
        return nil
    }
}

func metrics(_ report: Report, format: MetricsFormat = .prometheus, atLeast bytes: Int = 1 << 16) -> String {
    var text = MetricsText(report, format: format, process: .now)
    var whole = ""
    while let piece = text.next(atLeast: bytes) { whole += String(buffer: piece) }
    return whole
}
