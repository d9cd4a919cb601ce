internal import CTLS

/// Which certificate a client of a listener gets, by the name that it asks for: the name itself, else a wildcard for
/// it, else that of the first route. Of two certificates for one name and of different kinds, RSA is for clients that
/// know nothing else.
///
/// Immutable, one allocation beside the identities that it keeps alive. The data plane is given `reference` and may use
/// it for as long as the table lives, so whoever publishes it lets go of it only when no reactor can hold it any more.
@safe
public final class IdentityTable: @unchecked Sendable {
    /// Two identities of one kind for one name: the later one has it.
    public struct Overlap: Sendable, Hashable {
        public let name: String
        /// Places in the list that the table was made of.
        public let winner: Int
        public let loser: Int
    }

    public let overlaps: [Overlap]
    private let identities: [Identity]
    private let memory: UnsafeMutableRawPointer

    /// - Parameters:
    ///   - identities: from the oldest to the newest, at least one.
    ///   - first: the places of those for clients that ask for no name, or for one that nobody has; of two of one kind
    ///     the later one counts.
    public init(_ identities: [Identity], first: [Int] = [0]) {
        precondition(!first.isEmpty && first.allSatisfy { identities.indices.contains($0) })
        var builder = Builder(identities, first: first)
        builder.build()
        self.identities = identities
        self.overlaps = builder.overlaps
        unsafe self.memory = builder.allocate()
    }

    deinit {
        unsafe memory.deallocate()
    }

    /// What the data plane is given.
    public var reference: TLSTableReference {
        unsafe TLSTableReference(table: UnsafePointer(memory.assumingMemoryBound(to: ct_table.self)))
    }

    /// The places of the identities for a name: of the kind that is not RSA, and of RSA.
    public func places(for name: String) -> (modern: Int?, rsa: Int?) {
        var name = name
        return name.withUTF8 { bytes in
            let table = unsafe memory.assumingMemoryBound(to: ct_table.self)
            guard let choice = unsafe ct_table_find(table, bytes.baseAddress, bytes.count) else { return (nil, nil) }
            return unsafe (place(of: choice.pointee.modern.context), place(of: choice.pointee.rsa.context))
        }
    }

    private func place(of context: OpaquePointer?) -> Int? {
        identities.lastIndex { unsafe $0.context == context }
    }
}

/// An `IdentityTable` as plain data: what lies in the routing table.
@frozen @safe
public struct TLSTableReference: @unchecked Sendable, BitwiseCopyable {
    @usableFromInline let table: UnsafeRawPointer?

    /// No table: the listener does not speak TLS.
    @inlinable @_noLocks
    public init() { unsafe table = nil }

    init(table: UnsafePointer<ct_table>) { unsafe self.table = UnsafeRawPointer(table) }

    /// A table by its address; 0: none. The address comes from `address` of a table that still lives.
    @inlinable @_noLocks
    public init(address: UInt) { unsafe table = UnsafeRawPointer(bitPattern: address) }

    @inlinable public var address: UInt { @_noLocks get { unsafe UInt(bitPattern: table) } }
    @inlinable public var exists: Bool { @_noLocks get { unsafe table != nil } }
}

/// Names into the order in which they are looked for, and then into memory.
private struct Builder {
    struct Entry {
        let name: String
        var modern: Int?
        var rsa: Int?
    }

    let identities: [Identity]
    var entries: [Entry] = []
    var overlaps: [IdentityTable.Overlap] = []

    /// The places of those for everybody else.
    let firstPlaces: [Int]

    init(_ identities: [Identity], first: [Int]) {
        self.identities = identities
        self.firstPlaces = first
    }

    mutating func build() {
        var places: [String: Int] = [:]
        for (place, identity) in identities.enumerated() {
            for name in identity.names {
                let entry = places[name] ?? entries.count
                places[name] = entry
                if entry == entries.count { entries.append(Entry(name: name)) }
                put(place, into: entry)
            }
        }
    }

    private mutating func put(_ place: Int, into entry: Int) {
        let isRSA = identities[place].kind == .rsa
        let former = isRSA ? entries[entry].rsa : entries[entry].modern
        if let former, former != place {
            overlaps.append(IdentityTable.Overlap(name: entries[entry].name, winner: place, loser: former))
        }
        if isRSA {
            entries[entry].rsa = place
        } else {
            entries[entry].modern = place
        }
    }

    /// The table, its names behind it, their bytes behind those.
    func allocate() -> UnsafeMutableRawPointer {
        let stride = unsafe MemoryLayout<ct_name>.stride
        let namesStart = unsafe MemoryLayout<ct_table>.stride
        let textStart = namesStart + entries.count * stride
        let byteCount = entries.reduce(textStart) { $0 + $1.name.utf8.count }
        let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 16)
        let names = unsafe (memory + namesStart).bindMemory(to: ct_name.self, capacity: entries.count)
        var text = unsafe memory + textStart
        let sorted = entries.sorted {
            $0.name.utf8.count != $1.name.utf8.count
                ? $0.name.utf8.count < $1.name.utf8.count : $0.name.utf8.lexicographicallyPrecedes($1.name.utf8)
        }
        for (place, entry) in sorted.enumerated() {
            let bytes = Array(entry.name.utf8)
            unsafe text.copyMemory(from: bytes, byteCount: bytes.count)
            let start = unsafe text.assumingMemoryBound(to: UInt8.self)
            unsafe (names + place).initialize(
                to: ct_name(text: start, count: bytes.count, choice: choice(entry.modern, entry.rsa)))
            unsafe text += bytes.count
        }
        let table = unsafe memory.bindMemory(to: ct_table.self, capacity: 1)
        unsafe table.initialize(to: ct_table(names: names, count: entries.count, first: first))
        return unsafe memory
    }

    /// For clients that ask for no name, or for one that nobody has, whoever else has brought the same names since.
    private var first: ct_choice {
        unsafe choice(
            firstPlaces.last { identities[$0].kind != .rsa }, firstPlaces.last { identities[$0].kind == .rsa })
    }

    private func choice(_ modern: Int?, _ rsa: Int?) -> ct_choice {
        unsafe ct_choice(modern: offer(modern), rsa: offer(rsa))
    }

    private func offer(_ place: Int?) -> ct_offer {
        guard let place else { return unsafe ct_offer(context: nil, scheme: 0) }
        return unsafe ct_offer(context: identities[place].context, scheme: identities[place].scheme)
    }
}
