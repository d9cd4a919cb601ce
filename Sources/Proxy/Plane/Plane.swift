public import Memory
public import Reactor
public import Routing

/// What one thread tells a reactor. Plain data; what an address names belongs to the receiver from then on.
public struct Command: BitwiseCopyable, Sendable {
    public enum Kind: Sendable, BitwiseCopyable {
        /// A session is this reactor's from now on. `address`: bytes that came behind the registration.
        case adoptSession
        /// The snapshot with the session is published: `address` is the registration's response, sent first of all.
        case announceSession
        /// An equal registration has come: see at once whether this session is alive.
        case probeSession
        case endSession
        /// The listener's slot has a new generation.
        case prepareListener
        /// Clients may come: the snapshot with the listener's first route has been published.
        case openListener
        case closeListener
        /// A client, with what it has said so far in a chain of the sender's blocks.
        case handOver
        /// Another reactor has a client for whom there is no room: the longest idle one here makes some.
        case makeRoom
        /// A chain of this reactor's blocks that another one has read.
        case takeBack
        /// No new connections; end when those there are have ended.
        case drain
        case stop
    }

    public var kind: Kind
    public var fd: Int32 = -1
    public var listener: Int32 = -1
    public var generation: UInt32 = 0
    public var session = SessionHandle.none
    public var address: UInt = 0
    public var count: Int = 0
    /// For `adoptSession`: what the registration has asked for.
    public var options = SessionOptions()
    /// For `adoptSession`: the route that it serves, by its lasting number.
    public var route: UInt32 = 0
    /// For `adoptSession`: sessions with the same number belong to one program. Not 0.
    public var program: UInt16 = 0
    /// For `handOver`.
    var client = HandedOver.nobody
    /// For `takeBack`: what the blocks of were read.
    var chain = Chain()
    /// For `handOver`: whose blocks its bytes lie in.
    var sender: UInt8 = 0
    /// For `makeRoom`.
    var search = IdleSearch()

    @_noLocks
    public init(_ kind: Kind) { self.kind = kind }
}

/// Figures of one reactor, each a word that it alone writes.
public enum Counter: Int, CaseIterable, Sendable {
    case turns
    case accepted
    case connections
    case requests
    case handedOver
    case waiting
    case held
    case released
    case expired
    case refused
    /// Clients that were turned away for a reason that the log tells.
    case failed
    case sessions
    case streams
    case blocksInUse
    case resets
    case overflows
    /// Receives that found no buffer.
    case starved
    /// Blocks in which passed-on bytes are kept, to be sent again.
    case keptBlocks
    /// Handshakes under way, done, and of these resumed by a ticket.
    case handshaking
    case handshakes
    case resumed
    case handshakesFailed
    /// Of those that failed: nothing in common, given up by an alert of the client, no TLS at all, out of time.
    case handshakesWithoutVersion
    case handshakesWithoutSuite
    case handshakesWithoutProtocol
    case handshakesGivenUp
    case handshakesOfNoTLS
    case handshakesExpired
    /// Bytes that went through a pipe.
    case splicedToSessions
    case splicedToClients
    /// How often there was no pipe for bulk, which was copied then.
    case pipesMissed
    case pipesInUse
    /// Sessions that ended within a frame, one of theirs or of ours.
    case framesCut
    /// Relays that ended because nothing had moved for too long.
    case idleRelays
    /// More handshakes that failed: left by the client, broken, too many at once, no memory, no certificate, ended by
    /// a drain.
    case handshakesLeft
    case handshakesBroken
    case handshakesCrowded
    case handshakesWithoutMemory
    case handshakesWithoutCertificate
    case handshakesDrained
    /// 1: the reactor lets no new clients in. How often it has begun to do so because there were as many as there may
    /// be, and because an accept failed, and the number of the last such error.
    case acceptPaused
    case pausesAtLimit
    case pausesByError
    case acceptError
}

/// Where one reactor can be reached, and what others may look at.
public struct Peer: Sendable {
    public let commands: MessageQueue<Command>
    public let doorbell: Doorbell
    /// Where the control thread's snapshots reach it.
    public let snapshots: SnapshotMailbox
    /// A word a session slot: generation in the upper, state in the lower byte.
    public let sessionWords: SharedWords
    /// A word a session slot: the program that has it.
    public let programs: SharedWords
    /// A word a listener slot: the generation of the listener that it has closed last.
    public let listenerWords: SharedWords
    public let counters: SharedWords
    /// `ListenerCounter.stride` words a listener slot, and as many for the clients of listeners that have been closed.
    public let listenerCounters: SharedWords
    /// `RouteCounter.stride` words a slot of routes' figures.
    public let routeCounters: SharedWords
    /// A word a session slot: a `SessionTally`, written before the session's word says that it is gone or draining.
    public let sessionTallies: SharedWords
    /// A word a session slot: `SessionFigures`, from time to time.
    public let sessionFigures: SharedWords
    /// 1: it has nothing left to do after `drain`, or has stopped.
    public let finished: SharedWords
}

/// The state that a session's word carries.
public enum SessionWord {
    public static var live: UInt64 { @_noLocks get { 1 } }
    public static var draining: UInt64 { @_noLocks get { 2 } }
    /// Gone, `reason` above it; the slot is still in use.
    public static var gone: UInt64 { @_noLocks get { 3 } }
    /// The slot can be given out again.
    public static var released: UInt64 { @_noLocks get { 4 } }
    /// Live, and it has answered streams already.
    public static var proven: UInt64 { @_noLocks get { 6 } }
    /// Live, but it does not accept what it is given: other reactors prefer its siblings.
    public static var slow: UInt64 { @_noLocks get { 5 } }

    @_noLocks
    static func make(_ state: UInt64, generation: UInt32, reason: UInt64 = 0, detail: UInt64 = 0) -> UInt64 {
        UInt64(generation) << 32 | detail << 16 | reason << 8 | state
    }

    public static func state(_ word: UInt64) -> UInt64 { word & 0xFF }
    public static func reason(_ word: UInt64) -> SessionEnd? { SessionEnd(rawValue: UInt8(word >> 8 & 0xFF)) }
    /// For `.breach`: which.
    public static func detail(_ word: UInt64) -> UInt8 { UInt8(word >> 16 & 0xFF) }
    public static func generation(_ word: UInt64) -> UInt32 { UInt32(word >> 32) }
}

/// What all threads share. Made once at start and never freed.
public struct Plane: Sendable {
    public let limits: DataPlaneLimits
    public let peers: [Peer]
    /// Words of the whole process.
    public let totals: SharedWords
    /// Clients that wait, and what they have said, in bytes.
    public let waitingClients: HoldShares
    public let waitingBytes: HoldShares
    /// Written by any reactor that has news for the control thread.
    public let controlBell: ControlBell

    public enum Total: Int { case connections, blocks, count }

    /// - Parameter mailboxes: the snapshot publisher's, one a reactor.
    public init(limits: DataPlaneLimits, mailboxes: [SnapshotMailbox]) throws(BellFailure) {
        precondition(mailboxes.count == limits.reactors)
        self.limits = limits
        self.totals = SharedWords(count: Total.count.rawValue, isSpread: true)
        self.waitingClients = HoldShares.clients(limits)
        self.waitingBytes = HoldShares.bytes(limits)
        self.controlBell = try ControlBell()
        var peers: [Peer] = []
        for mailbox in mailboxes {
            let doorbell = try Doorbell()
            peers.append(
                Peer(
                    commands: MessageQueue(capacity: DataPlaneLimits.commandsCapacity),
                    doorbell: doorbell,
                    snapshots: mailbox,
                    sessionWords: SharedWords(count: limits.sessions),
                    programs: SharedWords(count: limits.sessions),
                    listenerWords: SharedWords(count: limits.listeners),
                    counters: SharedWords(count: Counter.allCases.count, isSpread: false),
                    listenerCounters: SharedWords(count: (limits.listeners + 1) * ListenerCounter.stride),
                    routeCounters: SharedWords(count: limits.routeFigures * RouteCounter.stride),
                    sessionTallies: SharedWords(count: limits.sessions),
                    sessionFigures: SharedWords(count: limits.sessions),
                    finished: SharedWords(count: 1)
                )
            )
        }
        self.peers = peers
    }

    /// Adds a command of the control thread to a reactor's queue. False, and nothing done, if that is full: a reactor
    /// empties it every turn, so this one is late, or hangs.
    public func offer(_ command: Command, to reactor: Int) -> Bool {
        defer { peers[reactor].doorbell.ring() }
        return peers[reactor].commands.push(command)
    }

    /// The sum of a figure over all reactors.
    public func sum(_ counter: Counter) -> UInt64 {
        peers.reduce(0) { $0 &+ $1.counters.loadRelaxed(counter.rawValue) }
    }

    /// The sum of a listener's figure over all reactors.
    public func sum(_ counter: ListenerCounter, ofListener slot: Int) -> UInt64 {
        let place = slot * ListenerCounter.stride + counter.rawValue
        return peers.reduce(0) { $0 &+ $1.listenerCounters.loadRelaxed(place) }
    }

    /// The figures of a listener's slot begin anew. For the control thread, when all reactors have closed the last
    /// listener there and none has been told of the next one: until then nobody writes them.
    public func clearFigures(ofListener slot: Int) {
        for peer in peers {
            for place in 0..<ListenerCounter.stride {
                peer.listenerCounters.storeRelaxed(0, at: slot * ListenerCounter.stride + place)
            }
        }
    }

    /// The figures of a route's slot, of all reactors. Whoever adds them up while they grow may miss a part of what
    /// happens meanwhile, and sees it the next time.
    public func figures(ofRoute slot: Int) -> RouteFigures {
        var figures = RouteFigures()
        for peer in peers {
            for place in 0..<RouteCounter.stride {
                figures.words[place] &+= peer.routeCounters.loadRelaxed(slot * RouteCounter.stride + place)
            }
        }
        return figures
    }

    /// The figures of a route's slot begin anew. For the control thread, when no reactor can find the route any more
    /// and nothing is under way there: nobody writes them.
    public func clearFigures(ofRoute slot: Int) {
        for peer in peers {
            for place in 0..<RouteCounter.stride {
                peer.routeCounters.storeRelaxed(0, at: slot * RouteCounter.stride + place)
            }
        }
    }

    /// What became of a session's streams when it was lost, or since it said GoAway.
    public func tally(of session: SessionHandle) -> SessionTally {
        SessionTally(word: peers[session.reactor].sessionTallies.load(session.index))
    }
}
