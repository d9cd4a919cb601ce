internal import CKernel

/// What the process has used, as monitoring systems ask of every process.
struct ProcessFigures: Equatable, Sendable {
    var cpuSeconds: Double
    var residentBytes: UInt64
    var descriptors: UInt64
    var descriptorLimit: UInt64
    /// Seconds since 1970.
    var start: Double

    /// Read once: whenever the machine's clock is set, it would be another moment.
    private static let start = (ck_process_start() * 100).rounded() / 100

    static var now: ProcessFigures {
        let process = ck_process_now()
        return ProcessFigures(
            cpuSeconds: process.cpu_seconds, residentBytes: process.resident_bytes, descriptors: process.descriptors,
            descriptorLimit: process.descriptor_limit, start: start)
    }
}
