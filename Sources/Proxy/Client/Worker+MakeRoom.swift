import Exchanges
import Memory
import Reactor

// At --max-connections somebody new gets the place of a client that is between two requests, the longest idle first.
extension Worker {
    /// All reactors are asked, one after the other, for the one that has been idle for longest; its own one ends it.
    @_noLocks
    mutating func makeRoom() { passOn(IdleSearch()) }

    /// Somebody new, here or at another reactor, has no room.
    @_noLocks
    mutating func makeRoom(_ search: IdleSearch) {
        if search.asked < limits.reactors { passOn(search) } else { endLongestIdle() }
    }

    /// Adds this reactor's longest idle to what the others have told, and asks the next one; the last one decides.
    private mutating func passOn(_ before: IdleSearch) {
        var search = before
        let own = longestIdle()?.since ?? .max
        if own < search.since {
            search.since = own
            search.reactor = index
        }
        search.asked += 1
        guard search.asked == limits.reactors else { return tell((index + 1) % limits.reactors, search) }
        guard search.since < .max else { return }
        if search.reactor == index { endLongestIdle() } else { tell(search.reactor, search) }
    }

    /// A full queue has other things to bring; who waits for room asks again.
    private func tell(_ reactor: Int, _ search: IdleSearch) {
        var command = Command(.makeRoom)
        command.search = search
        _ = neighbours.push(command, to: reactor)
    }

    private mutating func endLongestIdle() {
        guard let client = longestIdle() else { return }
        accepting.idle.removeLongest()
        close(client.connection, reset: false, counting: .endedForOthers)
    }

    /// The client here that has been idle for longest, as far as it is known; nil: nobody is.
    private mutating func longestIdle() -> IdleClient? {
        if accepting.idle.isEmpty { findIdle() }
        while let client = accepting.idle.longest {
            let connection = client.connection
            if connections.isTaken(connection), exchanges[connection].state.past.phaseSince == client.since,
                isIdle(connection)
            {
                return client
            }
            accepting.idle.removeLongest()
        }
        return nil
    }

    /// The client has had its reply and has said nothing since; or it has had its last one, and only has not gone yet.
    private func isIdle(_ connection: Int32) -> Bool {
        let record = connections[connection]
        guard mayBeIdle(connection), !record.isHandingOver, !record.isShaking, !record.isSending, !record.hasUnsent,
            !record.isMidHead, case .none = exchanges[connection].state.reply, !Sockets.hasBytes(record.client.fd)
        else { return false }
        if case .discarded = exchanges[connection].state.request {
            return Sockets.unacknowledged(record.client.fd) == 0
        }
        return true
    }

    /// Looks at the next so many connections for those that have been idle for longest: at all of them, unless there
    /// are very many.
    private mutating func findIdle() {
        let count = connections.touched
        for _ in 0..<min(count, Self.connectionsLookedAt) {
            let connection = accepting.idle.nextToLookAt(of: count)
            guard connections.isTaken(connection), mayBeIdle(connection) else { continue }
            accepting.idle.insert(
                IdleClient(connection: connection, since: exchanges[connection].state.past.phaseSince))
        }
    }

    private static var connectionsLookedAt: Int { @_noLocks get { 16_384 } }

    /// What can be seen without asking the kernel.
    private func mayBeIdle(_ connection: Int32) -> Bool {
        guard case .http = connections[connection].client.mode, !connections[connection].isClosing else { return false }
        switch exchanges[connection].state.request {
        case .head: return connections[connection].client.hasServed && connections[connection].received.isEmpty
        case .discarded: return connections[connection].finishSent
        case .waiting, .body, .finished, .skipped: return false
        }
    }
}

/// A client that was between two requests when it was looked at.
struct IdleClient: BitwiseCopyable {
    var connection: Int32
    var since: UInt64

    @_noLocks
    init(connection: Int32, since: UInt64) {
        self.connection = connection
        self.since = since
    }
}

/// Those that were found to be idle for longest, in order, and where the next search begins.
@safe
struct IdleClients {
    private let found: UnsafeMutablePointer<IdleClient>
    private var count = 0
    private var cursor = 0

    private static var capacity: Int { @_noLocks get { 32 } }

    init() {
        unsafe found = .allocate(capacity: Self.capacity)
        unsafe found.initialize(repeating: IdleClient(connection: -1, since: 0), count: Self.capacity)
    }

    var isEmpty: Bool { @_noLocks get { count == 0 } }

    /// Goes round.
    @_noLocks
    mutating func nextToLookAt(of slots: Int) -> Int32 {
        if cursor >= slots { cursor = 0 }
        cursor += 1
        return Int32(truncatingIfNeeded: cursor - 1)
    }

    /// Keeps the longest idle last; of too many the shortest idle is left out.
    @_noLocks
    mutating func insert(_ client: IdleClient) {
        if count == Self.capacity {
            guard unsafe client.since < found[0].since else { return }
            count -= 1
            for place in 0..<count { unsafe found[place] = found[place + 1] }
        }
        var place = count
        while place > 0, unsafe found[place - 1].since < client.since {
            unsafe found[place] = found[place - 1]
            place -= 1
        }
        unsafe found[place] = client
        count += 1
    }

    var longest: IdleClient? { @_noLocks get { count > 0 ? unsafe found[count - 1] : nil } }

    @_noLocks
    mutating func removeLongest() { count -= 1 }
}
