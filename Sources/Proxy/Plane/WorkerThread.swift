import Glibc
import Memory
public import Reactor
import Synchronization

/// The threads of the data plane. Rings are made first, so that what forbids them is known before anything starts.
public final class DataPlane: Sendable {
    public let plane: Plane
    /// Of all reactors: fewer than were asked for where the kernel gives a user no more.
    public let pipes: Int
    private let starts: [WorkerStart]
    private let threads: Mutex<[pthread_t]>

    /// - Parameters:
    ///   - seed: for choices at random.
    ///   - processors: where to pin the reactors, or empty.
    public init(plane: Plane, seed: UInt64, processors: [Int]) throws(RingFailure) {
        self.plane = plane
        let limits = plane.limits
        let peers = unsafe PeerView.all(of: plane)
        var starts: [WorkerStart] = []
        var pipes = 0
        for index in 0..<limits.reactors {
            let rings = try WorkerRings.make(limits)
            pipes += rings.pipes.count
            let start = WorkerStart(
                index: index,
                plane: plane,
                rings: rings,
                peersAddress: UInt(bitPattern: peers),
                seed: seed &+ UInt64(index) &* 0x9E37_79B9_7F4A_7C15,
                processor: processors.isEmpty ? nil : processors[index % processors.count]
            )
            starts.append(start)
        }
        self.starts = starts
        self.pipes = pipes
        self.threads = Mutex([])
    }

    /// Why a reactor does not run; `number` is the error, as pthread_create gives it.
    public enum ReactorFailure: Error {
        case thread(reactor: Int, number: Int32)
        case ring(RingFailure)
    }

    /// Starts all reactors and returns when each of them is ready. After an error the process has to end.
    public func start() throws(ReactorFailure) {
        for start in starts {
            var thread = pthread_t()
            let argument = unsafe Unmanaged.passRetained(start).toOpaque()
            let result = unsafe Self.create(&thread, argument)
            guard result == 0 else { throw .thread(reactor: start.index, number: result) }
            threads.withLock { $0.append(thread) }
        }
        for start in starts {
            while plane.peers[start.index].counters.loadRelaxed(Counter.turns.rawValue) == 0 {
                if let failure = start.failure.withLock({ $0 }) { throw .ring(failure) }
                Sockets.pause()
            }
        }
    }

    /// A stack of the usual size, whatever `ulimit -s` says: a reactor's needs do not follow it, and what is huge or
    /// unlimited there would be reserved for each.
    private static func create(_ thread: inout pthread_t, _ argument: UnsafeMutableRawPointer) -> Int32 {
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        defer { unsafe pthread_attr_destroy(&attributes) }
        unsafe pthread_attr_setstacksize(&attributes, DataPlaneLimits.stackBytes)
        return unsafe pthread_create(&thread, &attributes, workerMain, argument)
    }

    /// Processor time of a reactor that has not been joined; 0 if the kernel does not tell.
    public func processorMicroseconds(ofReactor reactor: Int) -> UInt64 {
        threads.withLock { threads in
            threads.indices.contains(reactor) ? Threads.processorMicroseconds(of: threads[reactor]) : 0
        }
    }

    /// Waits for all reactors to end, after `stop`.
    /// - Parameter limit: how long. Time in which the whole process is suspended counts as little.
    /// - Returns: those that have not ended by then.
    @discardableResult
    public func join(withinMilliseconds limit: Int = .max) -> [Int] {
        let step = 50
        var left = limit
        return threads.withLock({ $0 }).enumerated().compactMap { reactor, thread in
            while !Threads.hasEnded(thread, withinMilliseconds: min(step, max(left, 0))) {
                guard left > 0 else { return reactor }
                left -= step
            }
            return nil
        }
    }
}

private func workerMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument = unsafe argument else { return nil }
    let start = unsafe Unmanaged<WorkerStart>.fromOpaque(argument).takeRetainedValue()
    Threads.name("reactor \(start.index)")
    Threads.surviveBrokenConnections()
    Threads.tellOfCrashes()
    if let processor = start.processor { Threads.pin(to: processor) }
    do {
        var worker = try Worker(start)
        worker.run()
    } catch {
        start.failure.withLock { $0 = error }
    }
    return nil
}
