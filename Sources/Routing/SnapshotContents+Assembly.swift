extension SnapshotContents {
    /// Puts everything into one allocation and fills the tables there, with the functions that search them later.
    func assembled(generation: UInt64, hashSeed: UInt64) -> Snapshot {
        let header = layOut(generation: generation, hashSeed: hashSeed)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: header.byteCount, alignment: 64)
        // Free slots are zero, and no byte of a key's filling or between two arrays is left to chance.
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: header.byteCount)
        unsafe memory.storeBytes(of: header, as: SnapshotHeader.self)
        unsafe copy(listeners, to: memory + header.listeners)
        unsafe copy(domains, to: memory + header.domains)
        unsafe copy(routes, to: memory + header.routes)
        unsafe copy(sessions, to: memory + header.sessions)
        unsafe copy(lengths, to: memory + header.lengths)
        unsafe copy(keys, to: memory + header.keys)
        let filler = unsafe TableFiller(memory: memory, snapshot: Snapshot(base: UnsafeRawPointer(memory)))
        for index in domains.indices {
            filler.insertDomain(Int32(index))
        }
        for index in routes.indices {
            filler.insertRoute(Int32(index))
        }
        for index in domains.indices {
            filler.linkToParent(Int32(index))
        }
        return filler.snapshot
    }

    /// Where everything lies. Each array begins at a cache line.
    private func layOut(generation: UInt64, hashSeed: UInt64) -> SnapshotHeader {
        precondition(max(routes.count, sessions.count, lengths.count) < Int32.max && keys.count < UInt32.max)
        let domainSlotCount = Slot.tableSize(entries: domains.count)
        let routeSlotCount = Slot.tableSize(entries: routes.count)
        var header = SnapshotHeader()
        header.generation = generation
        header.hashSeed = hashSeed
        var end = MemoryLayout<SnapshotHeader>.stride
        func place(_ count: Int, stride: Int) -> Int {
            let offset = (end + 63) & ~63
            end = offset + count * stride
            return offset
        }
        header.listeners = place(listeners.count, stride: MemoryLayout<ListenerRecord>.stride)
        header.domains = place(domains.count, stride: MemoryLayout<DomainRecord>.stride)
        header.routes = place(routes.count, stride: MemoryLayout<RouteRecord>.stride)
        header.sessions = place(sessions.count, stride: MemoryLayout<UInt64>.stride)
        header.domainSlots = place(domainSlotCount, stride: MemoryLayout<UInt64>.stride)
        header.routeSlots = place(routeSlotCount, stride: MemoryLayout<UInt64>.stride)
        header.idSlots = place(routeSlotCount, stride: MemoryLayout<UInt32>.stride)
        header.lengths = place(lengths.count, stride: MemoryLayout<UInt16>.stride)
        header.keys = place(keys.count, stride: MemoryLayout<UInt64>.stride)
        header.domainSlotMask = UInt64(domainSlotCount - 1)
        header.routeSlotMask = UInt64(routeSlotCount - 1)
        header.idSlotMask = UInt64(routeSlotCount - 1)
        header.listenerCount = listeners.count
        header.domainCount = domains.count
        header.routeCount = routes.count
        header.byteCount = end
        return header
    }

    private func copy<Element: BitwiseCopyable>(_ array: [Element], to target: UnsafeMutableRawPointer) {
        unsafe array.withUnsafeBytes { source in
            guard let address = source.baseAddress else { return }
            unsafe target.copyMemory(from: address, byteCount: source.count)
        }
    }
}

/// Fills the tables of a snapshot that nobody else knows yet.
@safe private struct TableFiller {
    let memory: UnsafeMutableRawPointer
    let snapshot: Snapshot

    init(memory: UnsafeMutableRawPointer, snapshot: Snapshot) {
        unsafe self.memory = memory
        self.snapshot = snapshot
    }

    private var header: SnapshotHeader { unsafe snapshot.header.pointee }

    /// Domains with the empty suffix are reached through their listener instead.
    func insertDomain(_ index: Int32) {
        let record = unsafe snapshot.domainRecord(index).pointee
        let length = Int(record.key.count)
        guard length > 0 else { return }
        let key = unsafe snapshot.key(record.key)
        var hasher = SuffixHasher(seed: header.hashSeed, listener: record.listener)
        let hash = unsafe hasher.hash(suffix: length, of: key, total: length)
        let known = unsafe snapshot.findDomain(
            hash, listener: record.listener, host: key, length: length, total: length)
        precondition(known < 0, "two equal domains on one listener")
        insert(Slot.entry(hash: hash, index: index), hash: hash, at: header.domainSlots, mask: header.domainSlotMask)
    }

    /// Raw routes and those with the empty prefix are reached through their listener or domain instead.
    func insertRoute(_ index: Int32) {
        let record = unsafe snapshot.routeRecord(index).pointee
        insertID(record.id, index: index)
        let length = Int(record.key.count)
        guard length > 0 else { return }
        let key = unsafe snapshot.key(record.key)
        var hasher = PrefixHasher(seed: header.hashSeed, domain: record.domain)
        let hash = unsafe hasher.hash(prefix: length, of: key, total: length)
        let known = unsafe snapshot.findRoute(hash, domain: record.domain, path: key, length: length, total: length)
        precondition(known < 0, "two equal routes on one listener")
        insert(Slot.entry(hash: hash, index: index), hash: hash, at: header.routeSlots, mask: header.routeSlotMask)
    }

    /// Whatever else matches what a domain matches is a suffix of it, so it is found as if the domain were a host.
    func linkToParent(_ index: Int32) {
        let record = unsafe snapshot.domainRecord(index)
        let length = unsafe Int(record.pointee.key.count)
        guard length > 0 else { return }
        let text = unsafe UnsafeRawBufferPointer(start: snapshot.key(record.pointee.key), count: length)
        let parent = unsafe snapshot.longestDomain(
            listener: record.pointee.listener, host: text, limit: length - 1)
        let offset = header.domains + Int(index) * MemoryLayout<DomainRecord>.stride
        unsafe (memory + offset).assumingMemoryBound(to: DomainRecord.self).pointee.parent = parent
    }

    private func insertID(_ id: UInt32, index: Int32) {
        precondition(snapshot.route(withID: id) < 0, "two routes with one id")
        let slots = unsafe (memory + header.idSlots).assumingMemoryBound(to: UInt32.self)
        var position = Snapshot.firstSlot(ofID: id) & header.idSlotMask
        while unsafe slots[Int(position)] != 0 {
            position = (position + 1) & header.idSlotMask
        }
        unsafe slots[Int(position)] = UInt32(index + 1)
    }

    private func insert(_ entry: UInt64, hash: UInt64, at offset: Int, mask: UInt64) {
        let slots = unsafe (memory + offset).assumingMemoryBound(to: UInt64.self)
        var position = hash & mask
        while unsafe !Slot.isFree(slots[Int(position)]) {
            position = (position &+ 1) & mask
        }
        unsafe slots[Int(position)] = entry
    }
}
