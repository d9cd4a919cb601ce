internal import Glibc

/// Zeroed memory from the kernel, reserved at start and kept until the process ends. Pages that nobody touches cost
/// nothing, so everything that is indexed by connection is reserved for the largest number of connections.
@safe
public struct Region {
    public let base: UnsafeMutableRawPointer
    public let byteCount: Int

    /// Ends the program with a sentence when the address space is exhausted. Whoever starts it has asked for the sum of
    /// all regions before the first one, so this is met only when somebody else has taken it since.
    public init(byteCount: Int) {
        precondition(byteCount > 0)
        let protection = PROT_READ | PROT_WRITE
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        let memory = unsafe mmap(nil, byteCount, protection, CInt(flags), -1, 0)
        guard let memory = unsafe memory, unsafe memory != MAP_FAILED else {
            Self.endProgram(wanting: byteCount)
        }
        unsafe self.base = memory
        self.byteCount = byteCount
    }

    /// EX_OSERR of sysexits(3).
    private static var exitCode: CInt { 71 }

    /// It is said here because it is met on the reactors' threads too, and by the kernel's own doing: a signal would
    /// tell nobody what to do.
    private static func endProgram(wanting byteCount: Int) -> Never {
        let cause = "There is no address space left for \(byteCount) bytes"
        let line = "socketmaster: \(cause); raise ulimit -v, or lower --buffer-limit or --max-connections.\n"
        _ = unsafe line.utf8.withContiguousStorageIfAvailable { bytes in
            unsafe write(STDERR_FILENO, bytes.baseAddress, bytes.count)
        }
        _exit(exitCode)
    }

    /// The region as an array of zeroed elements.
    public static func array<Element: BitwiseCopyable>(
        of type: Element.Type,
        count: Int
    ) -> UnsafeMutablePointer<Element> {
        let region = Region(byteCount: max(1, count) * MemoryLayout<Element>.stride)
        return unsafe region.base.bindMemory(to: Element.self, capacity: max(1, count))
    }
}
