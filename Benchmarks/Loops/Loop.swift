/// One core at its work: the same operation, as often as wanted. Run under a clock by `Times`, under callgrind by
/// `counted-loops`.
public struct Loop: Sendable {
    /// The core's target, and what the operation is.
    public let name: String
    /// Operations in a row that make one measurement: enough for the loop itself not to matter, or 1 where an operation
    /// is long.
    public let repetitions: Int
    /// Makes everything ready and gives what does the operation as often as it is told. Its result depends on what
    /// every single operation came to, so that the compiler can leave none out, and is not 0.
    public let prepare: @Sendable () -> (Int) -> Int

    init(_ name: String, repetitions: Int = 1000, prepare: @escaping @Sendable () -> (Int) -> Int) {
        self.name = name
        self.repetitions = repetitions
        self.prepare = prepare
    }
}

extension Loop {
    /// All of them, core by core.
    public static let all: [Loop] =
        requestHeads + requestEdits + responseHeads + chunkedBodies
        + routeLookups + snapshotBuilds
        + frames + windows
        + timers + slabs + blockChains + queues
        + registrations
}
