internal import Glibc

/// Zeroed memory from the kernel, reserved at start and kept until the process ends. Pages that nobody touches cost
/// nothing, so everything that is indexed by connection is reserved for the largest number of connections.
@safe
public struct Region {
    public let base: UnsafeMutableRawPointer
    public let byteCount: Int

    /// Traps when the address space is exhausted: that is a fault of the flags, noticed at start.
    public init(byteCount: Int) {
        precondition(byteCount > 0)
        let protection = PROT_READ | PROT_WRITE
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        let memory = unsafe mmap(nil, byteCount, protection, CInt(flags), -1, 0)
        guard let memory = unsafe memory, unsafe memory != MAP_FAILED else {
            preconditionFailure("no address space for \(byteCount) bytes; lower the limits")
        }
        unsafe self.base = memory
        self.byteCount = byteCount
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
