import Memory
import Testing

@Test func `records are there from the start, and each is its own`() {
    let records = FixedArray(repeating: 7, count: 3)
    #expect(records.count == 3)
    records[Int32(1)] += 1
    records[2] = records[Int32(0)] + records[1]
    #expect(records[0] == 7 && records[1] == 8 && records[2] == 15)
}

@Test func `records of zeros are zero`() {
    let records = unsafe FixedArray<UInt16>(zeroed: 5000)
    for place in 0..<5000 { #expect(records[place] == 0) }
}

@Test func `what is copied stands in its order`() {
    let records = FixedArray(copying: [5, 6, 7])
    #expect(records.count == 3 && records[0] == 5 && records[Int32(2)] == 7)
    let none = FixedArray<Int>(copying: [])
    #expect(none.count == 0)
}

@Test func `two records can be changed at once`() {
    let records = FixedArray(repeating: 1, count: 2)
    func swapValues(_ first: inout Int, _ second: inout Int) { (first, second) = (second, first + second) }
    swapValues(&records[Int32(0)], &records[Int32(1)])
    #expect(records[0] == 1 && records[1] == 2)
}

@Test func `a place that there is not traps`() async {
    await #expect(processExitsWith: .failure) { _ = FixedArray(repeating: 1, count: 2)[Int32(2)] }
    await #expect(processExitsWith: .failure) { _ = FixedArray(repeating: 1, count: 2)[Int32(-1)] }
    await #expect(processExitsWith: .failure) { FixedArray(repeating: 1, count: 2)[2] = 0 }
    await #expect(processExitsWith: .failure) { FixedArray(repeating: 1, count: 2)[-1] = 0 }
    await #expect(processExitsWith: .failure) { FixedArray(repeating: 1, count: 2)[1 << 32] = 0 }
    await #expect(processExitsWith: .failure) { _ = FixedArray(repeating: 1, count: -1) }
    await #expect(processExitsWith: .failure) { _ = FixedArray<Int>(copying: [])[0] }
}
