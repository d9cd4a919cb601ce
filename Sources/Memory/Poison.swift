/// What places that nobody has are filled with in debug builds: whoever still reads one finds nothing that looks right,
/// and whoever has written to one is found out when it is taken again.
@usableFromInline
enum Poison {
    @inlinable static var byte: UInt8 { 0xDE }

    @inlinable
    static func fill<Element: BitwiseCopyable>(_ place: UnsafeMutablePointer<Element>) {
        unsafe UnsafeMutableRawPointer(place).initializeMemory(
            as: UInt8.self, repeating: byte, count: MemoryLayout<Element>.stride)
    }

    /// Whether it is as `fill` has left it.
    @inlinable
    static func isWhole<Element: BitwiseCopyable>(_ place: UnsafeMutablePointer<Element>) -> Bool {
        unsafe bytes(place).allSatisfy { $0 == byte }
    }

    /// Whether it is as `fill` has left it, or as the kernel has given it.
    @inlinable
    static func isWholeOrNew<Element: BitwiseCopyable>(_ place: UnsafeMutablePointer<Element>) -> Bool {
        unsafe isWhole(place) || bytes(place).allSatisfy { $0 == 0 }
    }

    @inlinable
    static func bytes<Element: BitwiseCopyable>(_ place: UnsafeMutablePointer<Element>) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: place, count: MemoryLayout<Element>.stride)
    }
}
