import Testing

@testable import Proxy

/// A hundred thousand idle clients cost a hundred thousand of these. Whoever adds a field looks for a gap, or has a
/// reason to raise the number.
@Test func `the record of a client has no gaps`() {
    #expect(MemoryLayout<Connection>.stride == 296)
    #expect(MemoryLayout<Connection>.stride - MemoryLayout<Connection>.size < 8)
}
