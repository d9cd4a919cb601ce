/// Both ends of a list of indices; the links lie in an `IndexLinks`.
@frozen
public struct IndexList: BitwiseCopyable {
    public var first: Int32 = -1
    public var last: Int32 = -1
    public var count: Int32 = 0

    @inlinable @_noLocks public init() {}
    @inlinable public var isEmpty: Bool { @_noLocks get { first < 0 } }
}

/// Links of many lists over one set of indices, each index in one list at most.
@safe
public struct IndexLinks: ~Copyable {
    /// Both shifted by two: 0 is "in no list", 1 is "no neighbour".
    private struct Neighbours: BitwiseCopyable {
        var next: Int32
        var previous: Int32
    }

    public let capacity: Int
    private let links: UnsafeMutablePointer<Neighbours>

    /// Memory for each index, in bytes.
    public static var bytesPerIndex: Int { MemoryLayout<Neighbours>.stride }

    public init(capacity: Int) {
        self.capacity = capacity
        unsafe self.links = Region.array(of: Neighbours.self, count: capacity)
    }

    @_noLocks
    public func isLinked(_ index: Int32) -> Bool {
        precondition(index >= 0 && Int(index) < capacity)
        return unsafe links[Int(index)].next != 0
    }

    /// The index behind this one in its list, or -1; -1 too when it is in no list.
    @_noLocks
    public func next(of index: Int32) -> Int32 {
        precondition(index >= 0 && Int(index) < capacity)
        return unsafe max(links[Int(index)].next - 2, -1)
    }

    @_noLocks
    public func append(_ index: Int32, to list: inout IndexList) {
        precondition(!isLinked(index))
        let link = unsafe links + Int(index)
        unsafe link.pointee.next = 1
        unsafe link.pointee.previous = list.last + 2
        if list.last >= 0 {
            unsafe (links + Int(list.last)).pointee.next = index + 2
        } else {
            list.first = index
        }
        list.last = index
        list.count += 1
    }

    /// Takes the index out of the list that it is in.
    @_noLocks
    public func remove(_ index: Int32, from list: inout IndexList) {
        precondition(isLinked(index) && list.count > 0)
        let link = unsafe links + Int(index)
        let after = unsafe link.pointee.next - 2
        let before = unsafe link.pointee.previous - 2
        if before >= 0 { unsafe (links + Int(before)).pointee.next = after + 2 } else { list.first = after }
        if after >= 0 { unsafe (links + Int(after)).pointee.previous = before + 2 } else { list.last = before }
        unsafe link.pointee.next = 0
        list.count -= 1
    }

    @_noLocks
    public func removeFirst(from list: inout IndexList) -> Int32 {
        let index = list.first
        if index >= 0 { remove(index, from: &list) }
        return index
    }
}

/// A queue of indices, each in it once at most: what has to be looked at. It never overflows, and an index can be taken
/// out of its middle.
@safe
public struct IndexQueue: ~Copyable {
    private let links: IndexLinks
    private var list = IndexList()

    /// - Parameter capacity: indices are below it.
    public init(capacity: Int) { links = IndexLinks(capacity: capacity) }

    public var isEmpty: Bool { @_noLocks get { list.isEmpty } }
    public var count: Int { @_noLocks get { Int(list.count) } }

    @_noLocks
    public func contains(_ index: Int32) -> Bool { links.isLinked(index) }

    /// Puts the index behind all others, unless it is in the queue.
    @_noLocks
    public mutating func append(_ index: Int32) {
        guard !links.isLinked(index) else { return }
        links.append(index, to: &list)
    }

    /// Takes the index out, if it is in the queue.
    @_noLocks
    public mutating func remove(_ index: Int32) {
        guard links.isLinked(index) else { return }
        links.remove(index, from: &list)
    }

    /// Takes the oldest out, or returns -1.
    @_noLocks
    public mutating func removeFirst() -> Int32 { links.removeFirst(from: &list) }
}
