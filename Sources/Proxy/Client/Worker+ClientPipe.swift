import Exchanges
import Memory
import Reactor

// What waits for a client in a pipe, and behind it.
extension Worker {
    /// Sends what lies in the connection's pipe, once everything before it has been taken.
    @_noLocks
    mutating func emptyPipe(_ connection: Int32) {
        let pipe = connections[connection].pipe
        guard pipe >= 0, !connections[connection].isSending, connections[connection].outgoing.isEmpty else { return }
        let count = pipes.empty(pipe, into: connections[connection].client.fd)
        guard count > 0 || count == Int(KernelError.wouldBlock) else { return clientVanished(connection) }
        if count > 0 { connections[connection].pipedBytes -= count }
        if pipes.bytes(in: pipe) > 0 {
            // The send of its first bytes waits for room, as a poll would.
            let taken = pipes.takeBlock(pipe, to: &connections[connection].outgoing, of: pool)
            guard taken > 0 else {
                books.bump(.resets)
                return close(connection, reset: true, counting: .resetNoMemory)
            }
            connections[connection].pipedBytes -= taken
            markDirty(connection: connection)
        }
        if pipes.bytes(in: pipe) == 0 { releasePipe(connection) }
        guard count > 0 else { return }
        creditSent(connection, count)
        // A pipeline may have stopped because too much was unsent.
        if case .http = connections[connection].client.mode, !connections[connection].received.isEmpty {
            queues.servable.append(connection)
        }
    }

    /// The pipe is empty: what was copied behind it is sent as everything else.
    @_noLocks
    mutating func releasePipe(_ connection: Int32) {
        assert(connections[connection].pipe >= 0, "rule 14: a pipe that is given back was borrowed")
        let pipe = connections[connection].pipe
        connections[connection].pipe = -1
        connections[connection].pipedBytes = 0
        pipes.giveBack(pipe)
        guard !behindPipes[pipe].isEmpty else { return }
        pool.join(&behindPipes[pipe], to: &connections[connection].outgoing)
        markDirty(connection: connection)
    }

    /// The connection ends, and with it what it had not been sent.
    @_noLocks
    mutating func dropPipe(_ connection: Int32) {
        let pipe = connections[connection].pipe
        guard pipe >= 0 else { return }
        pool.clear(&behindPipes[pipe])
        releasePipe(connection)
    }

    /// Puts bytes behind those that the client has to be sent. False: there is no room for them.
    @_noLocks
    mutating func putBehind(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Bool {
        let pipe = connections[connection].pipe
        guard pipe >= 0 else { return unsafe pool.append(bytes, to: &connections[connection].outgoing) }
        guard unsafe pool.append(bytes, to: &behindPipes[pipe]) else { return false }
        connections[connection].pipedBytes += bytes.count
        return true
    }
}
