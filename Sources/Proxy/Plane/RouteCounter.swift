/// Figures of one route on one reactor, each a word that the reactor alone writes. Routes have numbered slots for them,
/// which the control thread gives out; slot 0 is for requests that have found no route.
///
/// A request is counted as `begun` once, with its first route, and once as ended: by its reply's class, as `abandoned`,
/// or as `moved` to another route. So the difference is what is under way, wherever it went meanwhile. The same holds
/// for relays.
///
/// What every request touches stands in front. Behind the words are the histograms (``RouteHistogram``).
public enum RouteCounter: Int, CaseIterable, Sendable {
    /// Requests that have found the route.
    case begun
    /// Those that have got a reply, by the class of its status. A reply of ours is one, too.
    case success
    case redirection
    case clientError
    case serverError
    /// What was passed on of requests and relays, as their clients wrote it, and what their clients were sent.
    case bytesIn
    case bytesOut
    /// The sum of all durations, in microseconds.
    case duration

    /// The sum of all times to the first byte of a reply, in microseconds.
    case firstByte
    /// Requests that became relays by an answer of 101.
    case switched
    /// Requests that have ended without a whole reply, most often because their client left.
    case abandoned
    /// Requests that have found another route since.
    case moved
    /// Raw connections, and what became a relay by 101 or CONNECT.
    case relays
    case relaysEnded
    /// Clients that had to wait for a service; of them served after all; gone unserved when their time was over, which
    /// may also happen to one that a service had taken on and never accepted.
    case held
    case released
    case expired
    /// Clients that wait for another route since.
    case waitMoved
    /// Clients turned away at once.
    case turnedAway
    /// The sum of the times that clients waited, in microseconds.
    case heldTime

    // Exchanges that came to nothing and were sent again, by how they were lost (``LossCause``).
    case sentAgainEnded
    case sentAgainRefused
    case sentAgainReset
    case sentAgainTakenBack

    // What has failed, by why.
    case failedMayHaveRun
    case failedNotKept
    case failedSpent
    case failedBrokenReply
    case failedCut
    case failedTimeout
    case failedNoRoom
    /// Clients that left, or stopped reading, in the middle of something.
    case clientGone

    /// Words from one route's figures to the next one's.
    public static var stride: Int { @_noLocks get { 80 } }
    /// The slot of requests without a route, and that of routes for which there was no other one.
    public static var slotOfNone: Int { @_noLocks get { 0 } }
    public static var slotOfOthers: Int { @_noLocks get { 1 } }
    public static var firstSlot: Int { 2 }
}

/// Times of a route in buckets of one reactor's words, each up to a bound and its last one beyond all of them.
public enum RouteHistogram: Int, CaseIterable, Sendable {
    /// From the first byte of a request's head to the last one of its reply, handed to the kernel.
    case durations
    /// From when a service was given the request to the head of its reply.
    case firstBytes
    /// How long clients waited for a service.
    case heldTimes

    public static var bucketCount: Int { 16 }

    /// The highest times that the buckets take, but for the last one, which takes all: in microseconds.
    public var bounds: [UInt64] {
        switch self {
        case .durations, .firstBytes:
            [
                500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
                5_000_000, 10_000_000, 30_000_000,
            ]
        case .heldTimes:
            [
                50_000, 100_000, 250_000, 500_000, 1_000_000, 2_000_000, 3_000_000, 5_000_000, 7_500_000, 10_000_000,
                15_000_000, 20_000_000, 30_000_000, 60_000_000, 120_000_000,
            ]
        }
    }

    /// The word of the sum of these times.
    public var sum: RouteCounter {
        switch self {
        case .durations: .duration
        case .firstBytes: .firstByte
        case .heldTimes: .heldTime
        }
    }

    /// The first bucket among the route's words, and the sum.
    var place: Int {
        @_noLocks get {
            switch self {
            case .durations: 32
            case .firstBytes: 48
            case .heldTimes: 64
            }
        }
    }
    var sumPlace: Int {
        @_noLocks get {
            switch self {
            case .durations: RouteCounter.duration.place
            case .firstBytes: RouteCounter.firstByte.place
            case .heldTimes: RouteCounter.heldTime.place
            }
        }
    }

    /// The bound of the first bucket of requests.
    static var shortest: UInt64 { @_noLocks get { 500 } }

    /// The bucket of a time of requests.
    @_noLocks
    static func bucket(ofRequest microseconds: UInt64) -> Int {
        switch microseconds {
        case ...500: 0
        case ...1_000: 1
        case ...2_500: 2
        case ...5_000: 3
        case ...10_000: 4
        case ...25_000: 5
        case ...50_000: 6
        case ...100_000: 7
        case ...250_000: 8
        case ...500_000: 9
        case ...1_000_000: 10
        case ...2_500_000: 11
        case ...5_000_000: 12
        case ...10_000_000: 13
        case ...30_000_000: 14
        default: 15
        }
    }

    /// The bucket of a wait.
    @_noLocks
    static func bucket(ofWait microseconds: UInt64) -> Int {
        switch microseconds {
        case ...50_000: 0
        case ...100_000: 1
        case ...250_000: 2
        case ...500_000: 3
        case ...1_000_000: 4
        case ...2_000_000: 5
        case ...3_000_000: 6
        case ...5_000_000: 7
        case ...7_500_000: 8
        case ...10_000_000: 9
        case ...15_000_000: 10
        case ...20_000_000: 11
        case ...30_000_000: 12
        case ...60_000_000: 13
        case ...120_000_000: 14
        default: 15
        }
    }
}

/// How an exchange was lost that may be sent again.
enum LossCause {
    /// Its session has ended.
    case ended
    /// The service refused it before it was accepted.
    case refused
    /// The service reset or ended it without a whole reply.
    case reset
    /// It was not accepted in time, or by a service that has said GoAway.
    case takenBack

    var counter: RouteCounter {
        @_noLocks get {
            switch self {
            case .ended: .sentAgainEnded
            case .refused: .sentAgainRefused
            case .reset: .sentAgainReset
            case .takenBack: .sentAgainTakenBack
            }
        }
    }
}

extension ListenerCounter {
    /// What it is for the route of the client; nil: nothing, or counted there by its reply.
    var ofRoute: RouteCounter? {
        @_noLocks get {
            switch self {
            case .held: .held
            case .released: .released
            case .expired: .expired
            case .refused: .turnedAway
            case .failedMayHaveRun: .failedMayHaveRun
            case .failedNotKept: .failedNotKept
            case .failedSpent: .failedSpent
            case .failedBroken, .failedTooLarge, .failedTooManyFields, .failedNotHTTP: .failedBrokenReply
            case .failedBadFields, .failedBadFraming, .failedUnaskedSwitch: .failedBrokenReply
            case .cut, .cutBrokenChunks, .cutDrained: .failedCut
            case .failedNoReply, .failedBodyNotTaken, .cutBodyNotTaken, .cutIdle, .closedIdle: .failedTimeout
            case .failedNoMemory, .refusedNoRoom, .resetNoRoom, .resetNoMemory, .resetOverLimit: .failedNoRoom
            case .clientGone, .clientLeftWaiting, .resetStalledClient, .resetStalledRelay: .clientGone
            default: nil
            }
        }
    }
}

extension RouteCounter {
    /// A word among the route's.
    var place: Int {
        @_noLocks get { Int(unsafe unsafeBitCast(self, to: UInt8.self)) }
    }

    /// Of a reply by the hundreds of its status. Services may say what they like.
    @_noLocks
    init(ofClass replyClass: UInt8) {
        self =
            switch replyClass {
            case 2: .success
            case 3: .redirection
            case 4: .clientError
            case 1: .switched
            default: .serverError
            }
    }
}
