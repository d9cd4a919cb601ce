internal import CKernel
internal import Proxy

/// Whether what is reserved at start fits: looked at before the first part of it is, for a part that does not fit could
/// only end the program.
enum AddressSpace {
    /// What the rest of the program takes: code, heap, registrations under way.
    private static let otherBytes = 128 << 20
    /// What glibc keeps free for the heap of each thread. It counts towards the address space alone.
    private static let arenaBytes = 64 << 20

    static func needed(_ limits: DataPlaneLimits) -> Int {
        limits.reservedBytes + otherBytes + limits.reactors * arenaBytes
    }

    private static func neededData(_ limits: DataPlaneLimits) -> Int { limits.reservedBytes + otherBytes }

    /// - Throws: a sentence that names the limit, what is needed, and what lowers it.
    static func check(_ limits: DataPlaneLimits) throws(StartFailure) {
        let space = (limit: ck_address_space_limit(), used: ck_address_space_used())
        if let left = left(space.limit, space.used), left < needed(limits) {
            throw tooSmall("address space", "ulimit -v unlimited, LimitAS=infinity", space.limit, left, limits, needed)
        }
        let data = (limit: ck_data_limit(), used: ck_data_used())
        if let left = left(data.limit, data.used), left < neededData(limits) {
            throw tooSmall(
                "data segment", "ulimit -d unlimited, LimitDATA=infinity", data.limit, left, limits, neededData)
        }
        let result = ck_try_reserve(neededData(limits))
        if result < 0 { throw refused(limits, result) }
    }

    /// Nil: there is no limit.
    private static func left(_ limit: UInt64, _ used: UInt64) -> Int? {
        limit == .max ? nil : Int(clamping: limit) - min(Int(clamping: used), Int(clamping: limit))
    }

    private static func tooSmall(
        _ what: String, _ remedy: String, _ limit: UInt64, _ left: Int, _ limits: DataPlaneLimits,
        _ needed: (DataPlaneLimits) -> Int
    ) -> StartFailure {
        let (all, rest) = (ByteCount(bytes: Int(clamping: limit)).rounded, ByteCount(bytes: left).rounded)
        let size = ByteCount(bytes: needed(limits)).rounded
        return StartFailure(
            .configuration,
            "The limit on the \(what), \(all), leaves \(rest), but \(size) are reserved at start for "
                + "\(counted(limits.reactors, "reactor")); raise it (\(remedy)), or lower \(flags(limits, needed)).")
    }

    /// By the kernel, which may promise no more than it has.
    private static func refused(_ limits: DataPlaneLimits, _ error: Int32) -> StartFailure {
        let size = ByteCount(bytes: neededData(limits)).rounded
        let promise = "\(size) for \(counted(limits.reactors, "reactor"))"
        let flags = flags(limits, neededData)
        guard KernelText.number(inFile: "/proc/sys/vm/overcommit_memory") == 2 else {
            let reason = KernelText.error(error)
            return StartFailure(
                .system, "The kernel does not give \(promise) (\(reason)); free memory, or lower \(flags).")
        }
        return StartFailure(
            .system,
            "Strict overcommit is on (vm.overcommit_memory is 2), and \(promise) cannot be reserved; "
                + "raise vm.overcommit_ratio, or lower \(flags).")
    }

    /// What lowers the sum, the largest part first, and how far it can be lowered, as an example.
    private static func flags(_ limits: DataPlaneLimits, _ needed: (DataPlaneLimits) -> Int) -> String {
        let reactors = limits.reactors > 1 ? ", --max-connections or --reactors" : " or --max-connections"
        let names = "--buffer-limit\(reactors)"
        var small = limits
        small.bufferBytes = min(limits.bufferBytes, 32 << 20)
        small.connections = min(limits.connections, 1_024)
        guard needed(small) < needed(limits) else { return names }
        let example = "--buffer-limit \(ByteCount(bytes: small.bufferBytes)) --max-connections \(small.connections)"
        return "\(names) (\(example) needs \(ByteCount(bytes: needed(small)).rounded))"
    }
}
