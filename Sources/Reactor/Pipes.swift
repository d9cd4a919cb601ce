internal import CKernel
public import Memory

/// The pipes of a reactor, all made at start: what goes from one socket to another through a pipe is not copied.
///
/// Who has borrowed one gives it back as soon as nothing is in it, so that few serve many flows. Both sockets have to
/// be non-blocking, or the reactor would wait for them.
@safe
public struct Pipes: ~Copyable {
    private struct Pipe: BitwiseCopyable {
        var reading: Int32
        var writing: Int32
        var capacity: Int32
        /// Bytes in it.
        var count: Int32
    }

    /// A smaller one is not worth its descriptors; the kernel gives such to a user who has too many (`pipe(7)`,
    /// `pipe-user-pages-soft`).
    public static var smallestBytes: Int { 64 << 10 }

    /// How many there are: fewer than were asked for where descriptors or the user's pages for pipes end.
    public let count: Int
    private let pipes: UnsafeMutablePointer<Pipe>
    private let free: UnsafeMutablePointer<Int32>
    private var freeCount: Int
    private let nowhere: Int32

    /// - Parameter bytes: of each; the kernel rounds it up to a power of two.
    public init(count wanted: Int, bytes: Int) {
        unsafe self.pipes = .allocate(capacity: max(1, wanted))
        unsafe self.free = .allocate(capacity: max(1, wanted))
        // Where a filter forbids to splice, a pipe would be found useless only when there are bytes in it.
        self.nowhere = wanted > 0 && Self.areAllowed ? ck_open_nowhere() : -1
        var made = 0
        while nowhere >= 0, made < wanted, let pipe = Self.make(bytes) {
            unsafe (pipes + made).initialize(to: pipe)
            unsafe (free + made).initialize(to: Int32(made))
            made += 1
        }
        self.count = made
        self.freeCount = made
    }

    /// Whether the process may make pipes and move bytes through them.
    public static var areAllowed: Bool { ck_may_splice() }

    private static func make(_ bytes: Int) -> Pipe? {
        var ends: (Int32, Int32) = (-1, -1)
        let capacity = unsafe withUnsafeMutablePointer(to: &ends) {
            unsafe $0.withMemoryRebound(to: CInt.self, capacity: 2) { unsafe ck_pipe($0, CInt(bytes)) }
        }
        guard capacity >= 0 else { return nil }
        guard capacity >= smallestBytes else {
            _ = ck_close_now(ends.0)
            _ = ck_close_now(ends.1)
            return nil
        }
        return Pipe(reading: ends.0, writing: ends.1, capacity: capacity, count: 0)
    }

    deinit {
        for pipe in 0..<count {
            _ = unsafe ck_close_now(pipes[pipe].reading)
            _ = unsafe ck_close_now(pipes[pipe].writing)
        }
        if nowhere >= 0 { _ = ck_close_now(nowhere) }
        unsafe pipes.deallocate()
        unsafe free.deallocate()
    }

    public var borrowed: Int { @_noLocks get { count - freeCount } }

    /// Borrows an empty pipe; -1: all are in use, but for so many that others may need.
    @_noLocks
    public mutating func take(leaving reserve: Int = 0) -> Int32 {
        guard freeCount > reserve else { return -1 }
        freeCount -= 1
        return unsafe free[freeCount]
    }

    /// Gives a pipe back. What is still in it is lost.
    @_noLocks
    public mutating func giveBack(_ pipe: Int32) {
        let place = unsafe place(of: pipe)
        while unsafe place.pointee.count > 0 {
            // Takes whole pages out of the pipe, so it ends soon; a pipe that could not be emptied must not be used.
            let dropped = unsafe ck_splice(place.pointee.reading, nowhere, Int(place.pointee.count))
            precondition(dropped > 0, "the kernel does not let go of what is in a pipe")
            unsafe place.pointee.count -= Int32(truncatingIfNeeded: dropped)
        }
        precondition(freeCount < count, "a pipe was given back twice")
        unsafe free[freeCount] = pipe
        freeCount += 1
    }

    /// Bytes in the pipe.
    @_noLocks
    public func bytes(in pipe: Int32) -> Int { unsafe Int(place(of: pipe).pointee.count) }

    /// Moves bytes of a socket into the pipe. Returns how many, 0 when the peer has finished, or a negative error
    /// number: `KernelError.wouldBlock` when the socket has none, or the pipe no room. It may have none although it
    /// does not hold `bytes` yet, for each piece of a socket's bytes takes a page's place.
    @_noLocks
    public func fill(_ pipe: Int32, from fd: Int32, atMost limit: Int) -> Int {
        let place = unsafe place(of: pipe)
        let room = unsafe Int(place.pointee.capacity - place.pointee.count)
        guard room > 0 else { return Int(KernelError.wouldBlock) }
        let moved = unsafe ck_splice(fd, place.pointee.writing, min(limit, room))
        if moved > 0 { unsafe place.pointee.count += Int32(truncatingIfNeeded: moved) }
        return moved
    }

    /// Moves what is in the pipe into a socket. Returns how many bytes that were, or a negative error number.
    @_noLocks
    public func empty(_ pipe: Int32, into fd: Int32) -> Int {
        let place = unsafe place(of: pipe)
        let moved = unsafe ck_splice(place.pointee.reading, fd, Int(place.pointee.count))
        if moved > 0 { unsafe place.pointee.count -= Int32(truncatingIfNeeded: moved) }
        return moved
    }

    /// Copies the first bytes out of the pipe, which must have some, to the end of a chain. Returns how many, at most a
    /// block; 0 when the pool is exhausted.
    @_noLocks
    public func takeBlock(_ pipe: Int32, to chain: inout Chain, of pool: borrowing BlockPool) -> Int {
        let place = unsafe place(of: pipe)
        guard let block = unsafe pool.reserve(BlockPool.blockBytes, in: &chain) else { return 0 }
        let taken = unsafe ck_read_now(place.pointee.reading, block, BlockPool.blockBytes)
        precondition(taken > 0, "the pipe does not have what was put into it")
        pool.commit(taken, to: &chain)
        unsafe place.pointee.count -= Int32(truncatingIfNeeded: taken)
        return taken
    }

    private func place(of pipe: Int32) -> UnsafeMutablePointer<Pipe> {
        precondition(pipe >= 0 && Int(pipe) < count)
        return unsafe pipes + Int(pipe)
    }
}
