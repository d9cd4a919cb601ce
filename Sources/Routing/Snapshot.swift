/// The immutable routing table, as an address. Built by the control thread, read by every reactor, freed by the control
/// thread when no reactor can look at it any more (`SnapshotPublisher`).
///
/// Copying it copies the address, nothing is counted. A reactor keeps it, and whatever it got out of it but route ids
/// and session handles, for one turn only.
@frozen @safe public struct Snapshot: @unchecked Sendable {
    @usableFromInline let base: UnsafeRawPointer

    @inlinable @_noLocks init(base: UnsafeRawPointer) {
        unsafe self.base = base
    }

    /// The snapshot at an address that `address` gave, `nil` for 0. It must not have been freed.
    @inlinable @_noLocks public init?(address: UInt) {
        guard let base = unsafe UnsafeRawPointer(bitPattern: address) else { return nil }
        unsafe self.base = base
    }

    @inlinable public var address: UInt { @_noLocks get { unsafe UInt(bitPattern: base) } }

    /// Grows from one publication to the next.
    @inlinable public var generation: UInt64 { @_noLocks get { unsafe header.pointee.generation } }

    /// How many routes there are, held ones included.
    @inlinable public var routeCount: Int { @_noLocks get { unsafe header.pointee.routeCount } }

    /// Frees the table. For its owner, when nobody reads it any more.
    public func deallocate() {
        unsafe UnsafeMutableRawPointer(mutating: base).deallocate()
    }

    /// The listener in a slot. A slot without listener, or beyond all of them, has one that does not exist.
    @inlinable @_noLocks public func listener(_ index: Int) -> ListenerView {
        guard index >= 0 && index < (unsafe header.pointee.listenerCount) else {
            return ListenerView(flags: ListenerFlags(rawValue: 0), certificates: 0)
        }
        let record = unsafe listenerRecord(index)
        return unsafe ListenerView(flags: record.pointee.flags, certificates: record.pointee.certificates)
    }

    /// The route of everything that is not HTTP on a listener: its index, or -1.
    @inlinable @_noLocks public func rawRoute(listener: Int) -> Int32 {
        guard listener >= 0 && listener < (unsafe header.pointee.listenerCount) else { return -1 }
        return unsafe listenerRecord(listener).pointee.rawRoute
    }

    /// The route at an index that this snapshot gave.
    @inlinable @_noLocks public func route(_ index: Int32) -> RouteView {
        let record = unsafe routeRecord(index)
        return unsafe RouteView(
            id: record.pointee.id, sessionCount: Int(record.pointee.sessionCount), flags: record.pointee.flags)
    }

    /// Where it is counted what becomes of a route's clients.
    @inlinable @_noLocks public func figures(ofRoute index: Int32) -> UInt16 {
        unsafe routeRecord(index).pointee.figures
    }

    /// One of the sessions of a route, 0..<`sessionCount`. They are sorted by reactor.
    @inlinable @_noLocks public func session(_ route: Int32, _ index: Int) -> SessionHandle {
        let record = unsafe routeRecord(route)
        precondition(index >= 0 && index < (unsafe Int(record.pointee.sessionCount)), "no such session")
        return unsafe SessionHandle(rawValue: sessionValues(record)[index])
    }

    /// Which of the sessions of a route belong to a reactor, as indexes for `session`.
    @_noLocks public func sessions(_ route: Int32, ofReactor reactor: Int) -> Range<Int> {
        precondition(reactor >= 0 && reactor < SessionHandle.reactorLimit, "no such reactor")
        let record = unsafe routeRecord(route)
        let values = unsafe sessionValues(record)
        let count = unsafe Int(record.pointee.sessionCount)
        let first = unsafe Self.lowerBound(of: UInt64(reactor) << 56, in: values, from: 0, to: count)
        return unsafe first..<Self.lowerBound(of: UInt64(reactor + 1) << 56, in: values, from: first, to: count)
    }

    /// The first index whose value is not below the key.
    @_noLocks private static func lowerBound(
        of key: UInt64, in values: UnsafePointer<UInt64>, from start: Int, to end: Int
    ) -> Int {
        var lower = start
        var upper = end
        while lower < upper {
            let middle = (lower &+ upper) / 2
            if unsafe values[middle] < key {
                lower = middle &+ 1
            } else {
                upper = middle
            }
        }
        return lower
    }
}

/// What a listener is for, in one snapshot.
@frozen public struct ListenerView: Sendable {
    @usableFromInline let flags: ListenerFlags
    /// The address of what certificates are chosen from; 0: clients do not speak TLS here.
    public let certificates: UInt

    @inlinable @_noLocks init(flags: ListenerFlags, certificates: UInt) {
        self.flags = flags
        self.certificates = certificates
    }

    @inlinable public var exists: Bool { @_noLocks get { flags.rawValue & ListenerFlags.exists.rawValue != 0 } }
    /// Whether it has HTTP routes, held ones included.
    @inlinable public var hasHTTP: Bool { @_noLocks get { flags.rawValue & ListenerFlags.http.rawValue != 0 } }
    /// Whether it has a raw route, held or not.
    @inlinable public var hasRaw: Bool { @_noLocks get { flags.rawValue & ListenerFlags.raw.rawValue != 0 } }
    @inlinable public var speaksTLS: Bool { @_noLocks get { certificates != 0 } }
}

/// What is to know of a route, in one snapshot.
@frozen public struct RouteView: Sendable {
    /// The same in every snapshot as long as the route exists.
    public let id: UInt32
    public let sessionCount: Int
    @usableFromInline let flags: RouteFlags

    @inlinable @_noLocks init(id: UInt32, sessionCount: Int, flags: RouteFlags) {
        self.id = id
        self.sessionCount = sessionCount
        self.flags = flags
    }

    /// No session serves it at the moment; its clients wait.
    @inlinable public var isHeld: Bool { @_noLocks get { sessionCount == 0 } }
    @inlinable public var isRaw: Bool { @_noLocks get { flags.rawValue & RouteFlags.raw.rawValue != 0 } }
    @inlinable public var reuseStreams: Bool {
        @_noLocks get { flags.rawValue & RouteFlags.reuseStreams.rawValue != 0 }
    }
}

// How the arrays are reached. Every index is checked before or was written by the builder.
extension Snapshot {
    @inlinable var header: UnsafePointer<SnapshotHeader> {
        @_noLocks get { unsafe base.assumingMemoryBound(to: SnapshotHeader.self) }
    }

    @inlinable @_noLocks func listenerRecord(_ index: Int) -> UnsafePointer<ListenerRecord> {
        unsafe (base + header.pointee.listeners).assumingMemoryBound(to: ListenerRecord.self) + index
    }

    @_noLocks func domainRecord(_ index: Int32) -> UnsafePointer<DomainRecord> {
        unsafe (base + header.pointee.domains).assumingMemoryBound(to: DomainRecord.self) + Int(index)
    }

    @inlinable @_noLocks func routeRecord(_ index: Int32) -> UnsafePointer<RouteRecord> {
        precondition(index >= 0 && index < (unsafe header.pointee.routeCount), "no such route")
        return unsafe (base + header.pointee.routes).assumingMemoryBound(to: RouteRecord.self) + Int(index)
    }

    @inlinable @_noLocks func sessionValues(_ record: UnsafePointer<RouteRecord>) -> UnsafePointer<UInt64> {
        let values = unsafe (base + header.pointee.sessions).assumingMemoryBound(to: UInt64.self)
        return unsafe values + Int(record.pointee.firstSession)
    }

    @_noLocks func lengths(_ range: LengthRange) -> UnsafePointer<UInt16> {
        unsafe (base + header.pointee.lengths).assumingMemoryBound(to: UInt16.self) + Int(range.first)
    }

    @_noLocks func key(_ range: KeyRange) -> UnsafeRawPointer {
        unsafe base + header.pointee.keys + 8 * Int(range.firstWord)
    }
}
