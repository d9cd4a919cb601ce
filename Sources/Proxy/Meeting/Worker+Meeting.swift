import Memory

// Where the two halves of a relay meet: the one place that knows which kinds of services there are. Whoever has bytes
// for a service, or wants to know how it stands, comes through here, whatever the kind; and what a service says comes
// to `deliver`, `serviceAccepted`, `serviceFinished` and `loseExchange` (`Worker+Delivery`).
extension Worker {
    // MARK: the beginning

    /// Whether the session can serve somebody now. It may be made ready for that: ids that are in use are passed over,
    /// and one more stream may be allowed to see whether a service that looks full still is.
    @_noLocks @inline(__always)
    mutating func makeReady(_ session: Int32) -> Bool {
        guard session >= 0 else { return false }
        switch sessions[session].kind {
        case .stream: return makeReadyToOpen(session)
        #if SECOND_KIND
        case .memory: return memoryHalves.isReady
        #endif
        }
    }

    /// Gives the connection's exchange a half of the session's kind; nothing is said to the service yet. False: there
    /// is no room for one.
    @_noLocks
    mutating func meet(_ connection: Int32, _ session: Int32) -> Bool {
        assert(!exchanges[connection].half.exists, "rule 29: an exchange has one half")
        switch sessions[session].kind {
        case .stream: exchanges[connection].stream = streamForRequest(connection, session)
        #if SECOND_KIND
        case .memory: exchanges[connection].half = memoryHalves.open(for: connection, session)
        #endif
        }
        return exchanges[connection].half.exists
    }

    /// The service is to learn of the exchange even though nothing has been said.
    @_noLocks
    mutating func announce(_ connection: Int32) {
        let half = exchanges[connection].half
        switch half.kind {
        case .stream: if !streams[half.index].isAnnounced { announceStream(half.index) }
        #if SECOND_KIND
        case .memory: break
        #endif
        }
    }

    // MARK: bytes for the service

    /// How many bytes the service is sure to take at once, of an exchange that has just begun.
    @_noLocks
    func firstRoom(_ connection: Int32) -> Int {
        let half = exchanges[connection].half
        switch half.kind {
        case .stream: return streams[half.index].room
        #if SECOND_KIND
        case .memory: return memoryHalves[half.index].room
        #endif
        }
    }

    /// How many bytes the service takes now. 0: it will call when it takes more.
    @_noLocks
    mutating func claimRoom(_ connection: Int32, wanted: Int) -> Int {
        let half = exchanges[connection].half
        guard half.exists else { return 0 }
        switch half.kind {
        case .stream: return claimStreamRoom(connection, half.index, wanted: wanted)
        #if SECOND_KIND
        case .memory: return min(wanted, memoryHalves[half.index].room)
        #endif
        }
    }

    /// Passes on bytes for which there is room.
    @_noLocks
    mutating func offer(_ connection: Int32, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) {
        let half = exchanges[connection].half
        assert(half.exists, "rule 29: bytes are offered to a half that there is")
        switch half.kind {
        case .stream: unsafe writeFrame(half.index, first, second)
        #if SECOND_KIND
        case .memory:
            unsafe memoryHalves.take(first, half.index)
            unsafe memoryHalves.take(second, half.index)
        #endif
        }
    }

    /// The same for bytes alone.
    @_noLocks
    mutating func offer(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) {
        let none = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        unsafe offer(connection, bytes, none)
    }

    /// The same for bytes that lie in a pipe, for which there is room.
    @_noLocks
    mutating func offer(_ connection: Int32, piped count: Int, in pipe: Int32) {
        let half = exchanges[connection].half
        assert(half.exists && count > 0, "rule 29: bytes are offered to a half that there is")
        switch half.kind {
        case .stream: beginSplicedFrame(connection, half.index, count, pipe)
        #if SECOND_KIND
        case .memory: preconditionFailure("memory takes bytes alone")
        #endif
        }
    }

    // MARK: the end of the client's direction

    /// Whether the client's end can still be passed on.
    @_noLocks
    func canFinish(_ connection: Int32) -> Bool {
        let half = exchanges[connection].half
        guard half.exists else { return false }
        switch half.kind {
        case .stream: return streams[half.index].canFinish
        #if SECOND_KIND
        case .memory: return !memoryHalves[half.index].isFinished
        #endif
        }
    }

    /// The client says no more.
    @_noLocks
    mutating func finish(_ connection: Int32) {
        let half = exchanges[connection].half
        assert(half.exists, "rule 29: a half that there is, is finished")
        switch half.kind {
        case .stream: sendFin(half.index)
        #if SECOND_KIND
        case .memory: memoryHalves[half.index].isFinished = true
        #endif
        }
    }

    /// The client's end was passed on.
    @_noLocks
    func hasFinished(_ connection: Int32) -> Bool {
        let half = exchanges[connection].half
        switch half.kind {
        case .stream: return streams[half.index].hasFinished
        #if SECOND_KIND
        case .memory: return memoryHalves[half.index].isFinished
        #endif
        }
    }

    /// Nobody reads what the client still says: its end was passed on, or the service has ended the exchange for good.
    @_noLocks
    func takesNoMore(_ connection: Int32) -> Bool {
        let half = exchanges[connection].half
        switch half.kind {
        case .stream: return streams[half.index].takesNoMore
        #if SECOND_KIND
        case .memory: return memoryHalves[half.index].isFinished
        #endif
        }
    }

    // MARK: what the service has done

    /// The service has said that it has the exchange.
    @_noLocks
    func isAccepted(_ connection: Int32) -> Bool {
        let half = exchanges[connection].half
        guard half.exists else { return false }
        switch half.kind {
        case .stream: return streams[half.index].isAccepted
        #if SECOND_KIND
        case .memory: return memoryHalves[half.index].isAccepted
        #endif
        }
    }

    /// Nothing of the exchange has left the process.
    @_noLocks
    func isUndelivered(_ connection: Int32) -> Bool {
        let half = exchanges[connection].half
        guard half.exists else { return true }
        switch half.kind {
        case .stream: return isUnsent(half.index)
        #if SECOND_KIND
        case .memory: return memoryHalves[half.index].taken == 0
        #endif
        }
    }

    /// The service has not accepted the exchange in time, and somebody else could.
    @_noLocks
    func mayBeTakenBack(_ connection: Int32) -> Bool {
        let half = exchanges[connection].half
        guard half.exists else { return false }
        switch half.kind {
        case .stream: return mayBeTakenBack(stream: half.index)
        #if SECOND_KIND
        case .memory: return false
        #endif
        }
    }

    /// How far the service's direction has come to its end.
    @_noLocks
    func serviceEnd(_ connection: Int32) -> ServiceEnd {
        let half = exchanges[connection].half
        guard half.exists else { return .open }
        switch half.kind {
        case .stream: return end(ofStream: half.index)
        #if SECOND_KIND
        case .memory: return memoryHalves[half.index].isEnded ? .finished : .open
        #endif
        }
    }

    /// The service has begun to answer.
    @_noLocks
    mutating func noteAnswered(_ connection: Int32) {
        let half = exchanges[connection].half
        switch half.kind {
        case .stream: noteAnswered(stream: half.index)
        #if SECOND_KIND
        case .memory: break
        #endif
        }
    }

    /// The exchange is given to a session that goes at a pace, and may be what kills it.
    @_noLocks
    mutating func notePaced(_ connection: Int32, hasWaited: Bool, mayKill: Bool) {
        let half = exchanges[connection].half
        switch half.kind {
        case .stream: notePaced(stream: half.index, hasWaited: hasWaited, mayKill: mayKill)
        #if SECOND_KIND
        case .memory: break
        #endif
        }
    }

    // MARK: bytes of the service

    /// The client has taken so many bytes of the service's, and may be sent as many more.
    /// - Parameter isFlowing: it has taken all there was.
    @_noLocks
    mutating func credit(_ connection: Int32, _ count: UInt32, isFlowing: Bool) {
        let half = exchanges[connection].half
        guard half.exists else { return }
        switch half.kind {
        case .stream: giveCredit(half.index, count, isFlowing: isFlowing)
        #if SECOND_KIND
        case .memory: memoryHalves[half.index].credit += Int(count)
        #endif
        }
    }

    /// More has come for the client than a pipe holds.
    @_noLocks
    mutating func notePileUp(_ connection: Int32) {
        let half = exchanges[connection].half
        guard half.exists else { return }
        switch half.kind {
        case .stream: notePileUp(stream: half.index)
        #if SECOND_KIND
        case .memory: break
        #endif
        }
    }

    /// What few exchanges need.
    @_noLocks
    func parts(_ connection: Int32) -> HalfParts {
        let half = exchanges[connection].half
        switch half.kind {
        case .stream: return streams[half.index].parts
        #if SECOND_KIND
        case .memory: return memoryHalves[half.index].parts
        #endif
        }
    }

    @_noLocks
    mutating func set(_ parts: HalfParts, _ connection: Int32) {
        let half = exchanges[connection].half
        switch half.kind {
        case .stream: streams[half.index].parts = parts
        #if SECOND_KIND
        case .memory: memoryHalves[half.index].parts = parts
        #endif
        }
    }

    /// A reply's head has come in part.
    @_noLocks @inline(__always)
    func hasHeadInPieces(_ connection: Int32) -> Bool {
        let half = exchanges[connection].half
        switch half.kind {
        case .stream: return !streams[half.index].parts.head.isEmpty
        #if SECOND_KIND
        case .memory: return !memoryHalves[half.index].parts.head.isEmpty
        #endif
        }
    }

    // MARK: the end

    /// The exchange is over in good order: its half is not the connection's any more.
    @_noLocks
    mutating func release(_ connection: Int32) {
        let half = exchanges[connection].half
        guard half.exists else { return }
        switch half.kind {
        case .stream: retire(connection)
        #if SECOND_KIND
        case .memory:
            memoryHalves.close(half.index)
            exchanges[connection].owedCredit = 0
            endKeeping(connection)
        #endif
        }
        exchanges[connection].half = .none
    }

    /// The exchange is over: the service learns that nobody wants the rest of it.
    @_noLocks
    mutating func abort(_ connection: Int32) {
        let half = exchanges[connection].half
        guard half.exists else { return }
        switch half.kind {
        case .stream: abandon(half.index)
        #if SECOND_KIND
        case .memory:
            memoryHalves.close(half.index)
            exchanges[connection].owedCredit = 0
        #endif
        }
        exchanges[connection].half = .none
    }
}
