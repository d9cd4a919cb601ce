// Most specific first: the longest domain suffix, then the longest path prefix; where the longest domain has no path
// that fits, the next shorter domain. Held routes take part like the others.
//
// A host is hashed once from its end, a path once from its beginning. A table is asked only at lengths that some key
// has, and for hosts only at the borders of labels. The cost follows the length of what the client has sent and the
// number of keys that match it, not the number of routes.
extension Snapshot {
    /// The route of a request on a listener: its index, or -1 if none matches.
    /// - Parameters:
    ///   - host: without port and trailing dot, in any case; empty if the request has none.
    ///   - path: decoded and without dot segments.
    @_noLocks public func httpRoute(
        listener: Int, host: UnsafeRawBufferPointer, path: UnsafeRawBufferPointer
    ) -> Int32 {
        guard self.listener(listener).hasHTTP else { return -1 }
        var domain = unsafe longestDomain(listener: Int32(truncatingIfNeeded: listener), host: host, limit: .max)
        while domain >= 0 {
            let route = unsafe longestRoute(domain: domain, path: path)
            if route >= 0 {
                return route
            }
            domain = unsafe domainRecord(domain).pointee.parent
        }
        return -1
    }

    /// The route with an id, for those who have waited for it: its index here, or -1 if it is gone.
    @_noLocks public func route(withID id: UInt32) -> Int32 {
        let slots = unsafe (base + header.pointee.idSlots).assumingMemoryBound(to: UInt32.self)
        let mask = unsafe header.pointee.idSlotMask
        var position = Self.firstSlot(ofID: id) & mask
        while true {
            let entry = unsafe slots[Int(position)]
            guard entry != 0 else { return -1 }
            let index = Int32(bitPattern: entry &- 1)
            if unsafe routeRecord(index).pointee.id == id {
                return index
            }
            position = (position &+ 1) & mask
        }
    }

    /// Where the search for an id begins, before the mask. Ids are given out by us, so nobody can choose them.
    @inline(__always)
    @_noLocks static func firstSlot(ofID id: UInt32) -> UInt64 {
        UInt64(id) &* 0x9e37_79b9_7f4a_7c15 >> 32
    }

    /// The longest domain of a listener that matches a host and is not longer than `limit`, or -1.
    @_noLocks func longestDomain(listener: Int32, host: UnsafeRawBufferPointer, limit: Int) -> Int32 {
        let record = unsafe listenerRecord(Int(listener)).pointee
        guard let text = host.baseAddress else { return record.everyHost }
        let lengths = unsafe lengths(record.lengths)
        let lengthLimit = min(limit, host.count)
        var hasher = unsafe SuffixHasher(seed: header.pointee.hashSeed, listener: listener)
        var longest = record.everyHost
        for index in 0..<Int(record.lengths.count) {
            let length = unsafe Int(lengths[index])
            guard length <= lengthLimit else { break }
            guard unsafe Self.isBorder(text, at: host.count &- length) else { continue }
            let hash = unsafe hasher.hash(suffix: length, of: text, total: host.count)
            let found = unsafe findDomain(hash, listener: listener, host: text, length: length, total: host.count)
            if found >= 0 {
                longest = found
            }
        }
        return longest
    }

    /// Whether a suffix of a host that begins at `offset` consists of whole labels, or of a dot and whole labels with
    /// something before them.
    @inline(__always)
    @_noLocks private static func isBorder(_ text: UnsafeRawPointer, at offset: Int) -> Bool {
        let dot = UInt8(ascii: ".")
        let isDot = unsafe text.load(fromByteOffset: offset, as: UInt8.self) == dot
        if offset == 0 {
            return !isDot
        }
        return unsafe isDot || text.load(fromByteOffset: offset &- 1, as: UInt8.self) == dot
    }

    /// The longest route of a domain that matches a path, or -1.
    @_noLocks func longestRoute(domain: Int32, path: UnsafeRawBufferPointer) -> Int32 {
        let record = unsafe domainRecord(domain).pointee
        guard let text = path.baseAddress else { return record.everyPath }
        let lengths = unsafe lengths(record.lengths)
        var hasher = unsafe PrefixHasher(seed: header.pointee.hashSeed, domain: domain)
        var longest = record.everyPath
        for index in 0..<Int(record.lengths.count) {
            let length = unsafe Int(lengths[index])
            guard length <= path.count else { break }
            let hash = unsafe hasher.hash(prefix: length, of: text, total: path.count)
            let found = unsafe findRoute(hash, domain: domain, path: text, length: length, total: path.count)
            if found >= 0 {
                longest = found
            }
        }
        return longest
    }

    /// The domain whose suffix is the last `length` bytes of a host, or -1.
    @inline(__always)
    @_noLocks func findDomain(
        _ hash: UInt64, listener: Int32, host: UnsafeRawPointer, length: Int, total: Int
    ) -> Int32 {
        let slots = unsafe (base + header.pointee.domainSlots).assumingMemoryBound(to: UInt64.self)
        let mask = unsafe header.pointee.domainSlotMask
        var position = hash & mask
        while true {
            let entry = unsafe slots[Int(truncatingIfNeeded: position)]
            guard !Slot.isFree(entry) else { return -1 }
            if Slot.matches(entry, hash) {
                let record = unsafe domainRecord(Slot.index(entry))
                if unsafe record.pointee.listener == listener && Int(record.pointee.key.count) == length
                    && KeyBytes.isEqual(
                        key: key(record.pointee.key), to: host, at: total &- length, count: length, total: total,
                        folding: true)
                {
                    return Slot.index(entry)
                }
            }
            position = (position &+ 1) & mask
        }
    }

    /// The route whose prefix is the first `length` bytes of a path, or -1.
    @inline(__always)
    @_noLocks func findRoute(
        _ hash: UInt64, domain: Int32, path: UnsafeRawPointer, length: Int, total: Int
    ) -> Int32 {
        let slots = unsafe (base + header.pointee.routeSlots).assumingMemoryBound(to: UInt64.self)
        let mask = unsafe header.pointee.routeSlotMask
        var position = hash & mask
        while true {
            let entry = unsafe slots[Int(truncatingIfNeeded: position)]
            guard !Slot.isFree(entry) else { return -1 }
            if Slot.matches(entry, hash) {
                let record = unsafe routeRecord(Slot.index(entry))
                if unsafe record.pointee.domain == domain && Int(record.pointee.key.count) == length
                    && KeyBytes.isEqual(
                        key: key(record.pointee.key), to: path, at: 0, count: length, total: total, folding: false)
                {
                    return Slot.index(entry)
                }
            }
            position = (position &+ 1) & mask
        }
    }
}
