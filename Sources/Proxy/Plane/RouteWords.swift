import Memory
import Synchronization

/// All slots of routes' figures on one reactor, which alone writes them.
@safe
struct RouteTable {
    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    private let count: UInt16

    init(_ counters: SharedWords) {
        unsafe words = unsafe counters.address
        count = UInt16(counters.count / RouteCounter.stride)
    }

    @_noLocks @inline(__always)
    func route(_ slot: UInt16) -> RouteWords {
        precondition(slot < count)
        return unsafe RouteWords(words + Int(slot) &* RouteCounter.stride)
    }
}

/// One slot of them. A figure is added to by a load and a store, and no operation that locks.
@safe
struct RouteWords {
    private let words: UnsafeMutablePointer<Atomic<UInt64>>

    @_noLocks @inline(__always)
    fileprivate init(_ words: UnsafeMutablePointer<Atomic<UInt64>>) { unsafe self.words = words }

    @_noLocks @inline(__always)
    func bump(_ counter: RouteCounter, by amount: UInt64 = 1) { increase(counter.place, by: amount) }

    /// Takes the time of a request down. Most are short: those cost no call, where this is the last thing that is done.
    @_noLocks @inline(__always)
    func note(request microseconds: UInt64, in histogram: RouteHistogram) {
        guard microseconds <= RouteHistogram.shortest else { return noteSlow(microseconds, in: histogram) }
        note(microseconds, bucket: 0, of: histogram)
    }

    @_noLocks @inline(never)
    private func noteSlow(_ microseconds: UInt64, in histogram: RouteHistogram) {
        note(microseconds, bucket: RouteHistogram.bucket(ofRequest: microseconds), of: histogram)
    }

    /// The same for the time that a client waited.
    @_noLocks
    func note(wait microseconds: UInt64) {
        note(microseconds, bucket: RouteHistogram.bucket(ofWait: microseconds), of: .heldTimes)
    }

    @_noLocks @inline(__always)
    private func note(_ microseconds: UInt64, bucket: Int, of histogram: RouteHistogram) {
        increase(histogram.place &+ bucket, by: 1)
        increase(histogram.sumPlace, by: microseconds)
    }

    @_noLocks @inline(__always)
    private func increase(_ place: Int, by amount: UInt64) {
        precondition(UInt(bitPattern: place) < UInt(bitPattern: RouteCounter.stride))
        let word = unsafe words + place
        unsafe word.pointee.store(word.pointee.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }
}
