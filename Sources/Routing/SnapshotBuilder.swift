/// Builds snapshots, on the control thread. What it is given has been judged and made canonical before; a definition
/// that breaks a rule is a fault of ours and traps.
public enum SnapshotBuilder {
    /// Builds a table in one allocation, which the caller owns.
    /// - Parameters:
    ///   - generation: higher than that of the table before.
    ///   - listeners: in any order.
    ///   - hashSeed: a random secret of the process.
    public static func build(generation: UInt64, listeners: [ListenerDefinition], hashSeed: UInt64) -> Snapshot {
        var contents = SnapshotContents()
        for listener in listeners {
            contents.add(listener)
        }
        contents.addLengths()
        return contents.assembled(generation: generation, hashSeed: hashSeed)
    }
}

/// The arrays of a snapshot while they still grow.
struct SnapshotContents {
    var listeners: [ListenerRecord] = []
    var domains: [DomainRecord] = []
    var routes: [RouteRecord] = []
    var sessions: [UInt64] = []
    var lengths: [UInt16] = []
    /// The bytes of all keys, each filled up to whole words.
    var keys: [UInt64] = []

    /// Which lengths the suffixes of a listener and the prefixes of a domain have: the owner in the upper half of each
    /// value, the length in the lower one.
    private var suffixLengths: [UInt64] = []
    private var prefixLengths: [UInt64] = []

    mutating func add(_ listener: ListenerDefinition) {
        let index = listener.index
        precondition((0...ListenerDefinition.maximumIndex).contains(index), "no such slot of listeners")
        while listeners.count <= index {
            listeners.append(ListenerRecord())
        }
        precondition(!listeners[index].flags.contains(.exists), "two listeners in one slot")
        listeners[index].flags = .exists
        listeners[index].certificates = listener.certificates
        // Suffixes are in ASCII, so that equal texts have equal bytes. That does not hold for prefixes.
        var domainsBySuffix: [String: Int32] = [:]
        for route in listener.routes {
            add(route, to: index, domainsBySuffix: &domainsBySuffix)
        }
    }

    private mutating func add(_ route: RouteDefinition, to listener: Int, domainsBySuffix: inout [String: Int32]) {
        let index = Int32(routes.count)
        var record = RouteRecord(
            id: route.id, flags: route.reuseStreams ? .reuseStreams : RouteFlags(),
            figures: route.figures, firstSession: UInt32(sessions.count), sessionCount: UInt32(route.sessions.count))
        sessions += route.sessions.map { $0.rawValue }.sorted()
        switch route.kind {
        case .raw:
            precondition(listeners[listener].rawRoute < 0, "two raw routes on one listener")
            record.flags.insert(.raw)
            listeners[listener].flags.insert(.raw)
            listeners[listener].rawRoute = index
        case .http(let domainSuffix, let pathPrefix):
            listeners[listener].flags.insert(.http)
            record.domain =
                domainsBySuffix[domainSuffix]
                ?? addDomain(domainSuffix, to: listener, domainsBySuffix: &domainsBySuffix)
            record.key = addKey(pathPrefix)
            addPrefix(record, route: index)
        }
        routes.append(record)
    }

    private mutating func addDomain(
        _ suffix: String, to listener: Int, domainsBySuffix: inout [String: Int32]
    ) -> Int32 {
        let index = Int32(domains.count)
        precondition(suffix.utf8.allSatisfy { $0 < 0x80 && !(0x41...0x5a).contains($0) }, "not a canonical suffix")
        domains.append(DomainRecord(key: addKey(suffix), listener: Int32(listener)))
        domainsBySuffix[suffix] = index
        if suffix.isEmpty {
            listeners[listener].everyHost = index
        } else {
            suffixLengths.append(UInt64(listener) << 32 | UInt64(suffix.utf8.count))
        }
        return index
    }

    private mutating func addPrefix(_ record: RouteRecord, route: Int32) {
        let domain = Int(record.domain)
        if record.key.count == 0 {
            precondition(domains[domain].everyPath < 0, "two equal routes on one listener")
            domains[domain].everyPath = route
        } else {
            prefixLengths.append(UInt64(domain) << 32 | UInt64(record.key.count))
        }
    }

    private mutating func addKey(_ text: String) -> KeyRange {
        let range = KeyRange(firstWord: UInt32(keys.count), count: UInt32(text.utf8.count))
        precondition(range.count <= UInt16.max, "a key longer than any length that is stored")
        var word: UInt64 = 0
        var shift: UInt64 = 0
        for byte in text.utf8 {
            word |= UInt64(byte) << shift
            shift += 8
            if shift == 64 {
                keys.append(word.littleEndian)
                word = 0
                shift = 0
            }
        }
        if shift > 0 {
            keys.append(word.littleEndian)
        }
        return range
    }

    /// Gives each listener and each domain its different lengths, ascending.
    mutating func addLengths() {
        forEachOwner(of: suffixLengths) { contents, listener, range in contents.listeners[listener].lengths = range }
        forEachOwner(of: prefixLengths) { contents, domain, range in contents.domains[domain].lengths = range }
    }

    private mutating func forEachOwner(
        of values: [UInt64], assign: (inout SnapshotContents, Int, LengthRange) -> Void
    ) {
        var previous: UInt64?
        var range = LengthRange()
        for value in values.sorted() where value != previous {
            let owner = Int(value >> 32)
            if previous == nil || owner != Int(previous! >> 32) {
                range = LengthRange(first: UInt32(lengths.count), count: 0)
            }
            lengths.append(UInt16(truncatingIfNeeded: value))
            range.count += 1
            assign(&self, owner, range)
            previous = value
        }
    }
}
