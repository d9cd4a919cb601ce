import Memory
import Reactor

// At --max-connections somebody new gets the place of a client that is between two requests, the longest idle first.
extension Worker {
    /// All reactors are asked, one after the other, for the one that has been idle for longest; its own one ends it.
    @_noLocks
    mutating func makeRoom() {
        var command = Command(.makeRoom)
        command.phaseSince = .max
        passOn(&command)
    }

    /// Somebody new, here or at another reactor, has no room.
    @_noLocks
    mutating func makeRoom(_ command: Command) {
        guard command.handOvers < limits.reactors else { return endLongestIdle() }
        var command = command
        passOn(&command)
    }

    /// Adds this reactor's longest idle to what the others have told, and asks the next one; the last one decides.
    private mutating func passOn(_ command: inout Command) {
        let own = longestIdle()?.since ?? .max
        if own < command.phaseSince {
            command.phaseSince = own
            command.sender = UInt8(truncatingIfNeeded: index)
        }
        command.handOvers += 1
        guard command.handOvers == limits.reactors else { return tell((index + 1) % limits.reactors, command) }
        guard command.phaseSince < .max else { return }
        guard Int(command.sender) != index else { return endLongestIdle() }
        tell(Int(command.sender), command)
    }

    /// A full queue has other things to bring; who waits for room asks again.
    private func tell(_ reactor: Int, _ command: Command) {
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
            if connections.isTaken(connection), connections[connection].phaseSince == client.since,
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
            !record.isMidHead, case .none = record.reply, !Sockets.hasBytes(record.fd)
        else { return false }
        if case .discarded = record.request { return Sockets.unacknowledged(record.fd) == 0 }
        return true
    }

    /// Looks at the next so many connections for those that have been idle for longest: at all of them, unless there
    /// are very many.
    private mutating func findIdle() {
        let count = connections.touched
        for _ in 0..<min(count, Self.connectionsLookedAt) {
            let connection = accepting.idle.nextToLookAt(of: count)
            guard connections.isTaken(connection), mayBeIdle(connection) else { continue }
            accepting.idle.insert(IdleClient(connection: connection, since: connections[connection].phaseSince))
        }
    }

    private static var connectionsLookedAt: Int { @_noLocks get { 16_384 } }

    /// What can be seen without asking the kernel.
    private func mayBeIdle(_ connection: Int32) -> Bool {
        guard case .http = connections[connection].mode, !connections[connection].isClosing else { return false }
        switch connections[connection].request {
        case .head: return connections[connection].hasServed && connections[connection].received.isEmpty
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
