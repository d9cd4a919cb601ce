import Memory

/// What the reactor holds in blocks beyond what its pool knows, and whether the process holds too much.
struct MemoryUse: ~Copyable {
    // First, because the thread sanitizer takes the first word of a value for the address that an addressor changes.
    /// What the sessions hold, in KiB; only while memory is scarce.
    let heldBySession: FixedArray<Int32>
    /// Blocks in use up to which bytes that pass through may have more, and up to which another stream may be opened:
    /// sums of limits, at hand for each request.
    let blocksForBytes: Int
    let blocksForStreams: Int
    /// Blocks that the books know of.
    var blocksReported = 0
    /// Blocks in which passed-on bytes are kept, to be sent again.
    var keptBlocks = 0
    /// Bytes of connections that are closing: their blocks come back when the kernel has let go of them.
    var closingBytes = 0
    /// What streams here may have under way beyond the window that every stream has.
    var extraCredit = 0
    /// The process is above `--buffer-limit`.
    var isOverLimit = false
    /// More than a half of the limit is in use: what a session holds is looked at before it gets another stream.
    var isScarce = false
    /// When that was weighed last.
    var weighedAt: UInt64 = 0

    init(_ limits: DataPlaneLimits) {
        blocksForBytes = limits.blocksPerReactor - limits.sparedBlocks
        blocksForStreams = blocksForBytes - limits.blocksOfRequest
        heldBySession = unsafe FixedArray(zeroed: limits.sessions)
    }
}
