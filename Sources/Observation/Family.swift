internal import Control
internal import Proxy

/// A family of metrics: its name, and how its samples are made of what is known.
struct Family: Sendable {
    enum Kind: String, Sendable {
        case gauge
        case counter
        case histogram
    }

    typealias Write = @Sendable (Facts, _ item: Int, inout SampleWriter) -> Void

    /// Without `_total`.
    let name: String
    let kind: Kind
    /// One line, without a backslash.
    let help: String
    /// What there are samples of, one after the other: routes, reactors, or the process as one.
    let items: @Sendable (Facts) -> Int
    let write: Write

    var sampleName: String { kind == .counter ? name + "_total" : name }

    /// All, in the order in which they are written.
    static let all = process + ofRoutes + times + totals + clients + reactors + sessions + handshakes + memory + rest
}

// How families of each kind are made. Names get their prefix here.

extension Family {
    private init(
        _ name: String, _ kind: Kind, _ help: String, prefix: String = "socketmaster_",
        items: @escaping @Sendable (Facts) -> Int, write: @escaping Write
    ) {
        self.name = prefix + name
        self.kind = kind
        self.help = help
        self.items = items
        self.write = write
    }

    /// One sample without labels.
    static func one(
        _ name: String, _ kind: Kind, _ help: String, prefix: String = "socketmaster_",
        _ value: @escaping @Sendable (Report) -> UInt64
    ) -> Family {
        Family(name, kind, help, prefix: prefix, items: { _ in 1 }) { facts, _, writer in
            writer.sample("", value(facts.report))
        }
    }

    /// Samples of the process as one.
    static func whole(
        _ name: String, _ kind: Kind, _ help: String, prefix: String = "socketmaster_",
        _ write: @escaping @Sendable (Facts, inout SampleWriter) -> Void
    ) -> Family {
        Family(name, kind, help, prefix: prefix, items: { _ in 1 }) { facts, _, writer in write(facts, &writer) }
    }

    static func each<Element>(
        _ list: @escaping @Sendable (Facts) -> [Element], _ name: String, _ kind: Kind, _ help: String,
        _ write: @escaping @Sendable (Element, _ place: Int, Facts, inout SampleWriter) -> Void
    ) -> Family {
        Family(name, kind, help, items: { list($0).count }) { facts, item, writer in
            write(list(facts)[item], item, facts, &writer)
        }
    }

    /// One sample a route.
    static func route(
        _ name: String, _ kind: Kind, _ help: String, _ value: @escaping @Sendable (RouteReport) -> UInt64
    ) -> Family {
        each({ $0.report.routes }, name, kind, help) { route, place, facts, writer in
            writer.sample(facts.routes[place], value(route))
        }
    }

    static func route(_ name: String, _ help: String, _ counter: RouteCounter) -> Family {
        route(name, .counter, help) { $0.figures[counter] }
    }

    /// A sample a route and value of the label.
    static func route(_ name: String, _ help: String, by label: String, _ figures: [NamedFigure]) -> Family {
        each({ $0.report.routes }, name, .counter, help) { route, place, facts, writer in
            for figure in figures {
                writer.sample("\(facts.routes[place]),\(label)=\"\(figure.name)\"", route.figures[figure.counter])
            }
        }
    }

    static func times(_ name: String, _ help: String, _ histogram: RouteHistogram) -> Family {
        let bounds = SampleWriter.boundTexts(histogram.bounds)
        return each({ $0.report.routes }, name, .histogram, help) { route, place, facts, writer in
            writer.histogram(
                facts.routes[place], route.figures[histogram], bounds: bounds, sum: route.figures[histogram.sum])
        }
    }

    /// The sum of all routes that have ever been.
    static func total(_ name: String, _ help: String, _ counter: RouteCounter) -> Family {
        one(name, .counter, help + neverFalls, prefix: "socketmaster_proxy_") { $0.totals[counter] }
    }

    static func total(_ name: String, _ help: String, by label: String, _ figures: [NamedFigure]) -> Family {
        whole(name, .counter, help + neverFalls, prefix: "socketmaster_proxy_") { facts, writer in
            for figure in figures {
                writer.sample("\(label)=\"\(figure.name)\"", facts.report.totals[figure.counter])
            }
        }
    }

    private static let neverFalls = " Of all routes, and never falls, also when routes leave."

    /// One sample a reactor.
    static func reactor(_ name: String, _ kind: Kind, _ help: String, _ counter: Counter) -> Family {
        each({ $0.report.reactors }, name, kind, help) { reactor, place, _, writer in
            writer.sample("reactor=\"\(place)\"", reactor[counter])
        }
    }

    /// What all reactors count together.
    static func sum(_ name: String, _ kind: Kind, _ help: String, _ counter: Counter) -> Family {
        one(name, kind, help) { $0[counter] }
    }
}
