import Memory
import Testing

@Test func `a region is zeroed and begins at a page`() {
    let region = Region(byteCount: 100_001)
    #expect(region.byteCount == 100_001)
    #expect(unsafe UInt(bitPattern: region.base) % 4096 == 0)
    let bytes = unsafe UnsafeRawBufferPointer(start: region.base, count: region.byteCount)
    #expect(unsafe bytes.allSatisfy { $0 == 0 })
}

@Test func `an array has room for its elements, each zeroed`() {
    let array = unsafe Region.array(of: UInt32.self, count: 3_000)
    for index in 0..<3_000 {
        #expect(unsafe array[index] == 0)
        unsafe array[index] = UInt32(index)
    }
    #expect(unsafe array[0] == 0 && array[2_999] == 2_999)
}

/// A slab may be asked for nothing; the address must be one all the same.
@Test func `an array of no elements has an address`() {
    let array = unsafe Region.array(of: UInt64.self, count: 0)
    #expect(unsafe array[0] == 0)
}

/// Every slab is reserved for the largest number of connections, so this must be free.
@Test func `memory far beyond the machine's can be reserved`() {
    let region = Region(byteCount: 1 << 36)
    let last = unsafe (region.base + (1 << 36) - 8).assumingMemoryBound(to: UInt64.self)
    unsafe last.pointee = 7
    #expect(unsafe last.pointee == 7)
}

@Test func `what cannot be reserved traps at once`() async {
    await #expect(processExitsWith: .failure) { _ = Region(byteCount: 1 << 60) }
    await #expect(processExitsWith: .failure) { _ = Region(byteCount: 0) }
}
