import HTTP1
import Memory

/// What faces the service. A kind has its records, its files, and its case in each switch of `Worker+Meeting`.
enum ServiceKind: BitwiseCopyable {
    /// A stream of a yamux session.
    case stream
    #if SECOND_KIND
    /// Memory, for the tests: it shows that a second kind needs no change to the files of the first.
    case memory
    #endif
}

/// The service's half of an exchange: the index of its record, among those of its kind.
struct ServiceHalf: BitwiseCopyable {
    /// -1: there is none.
    let index: Int32
    let kind: ServiceKind

    @_noLocks
    init(_ kind: ServiceKind, _ index: Int32) {
        self.kind = kind
        self.index = index
    }

    static var none: ServiceHalf { @_noLocks get { ServiceHalf(.stream, -1) } }
    var exists: Bool { @_noLocks get { index >= 0 } }

    @_noLocks
    func isSame(as other: ServiceHalf) -> Bool {
        guard index == other.index else { return false }
        switch (kind, other.kind) {
        case (.stream, .stream): return true
        #if SECOND_KIND
        case (.memory, .memory): return true
        default: return false
        #endif
        }
    }
}

extension Exchange {
    /// The stream that carries the current request or all of the relay, or -1: for those who know only streams.
    var stream: Int32 {
        @_noLocks get {
            switch half.kind {
            case .stream: half.index
            #if SECOND_KIND
            case .memory: -1
            #endif
            }
        }
        @_noLocks set { half = ServiceHalf(.stream, newValue) }
    }
}

/// How far the service's direction has come to its end.
enum ServiceEnd {
    case open
    /// The service has finished, but bytes that come before its end are still to be passed on.
    case announced
    case finished
}

/// A reply's head in pieces, and the trailer fields of a request: what few exchanges need, and a service's half has.
struct HalfParts: BitwiseCopyable {
    /// The beginning of a reply's head.
    var head = Chain()
    var headEnd = HeadEndFinder()
    /// For the trailer fields of the request.
    var trailers = TrailerFilter()

    @_noLocks
    init() {}
}
