/// The entry that libFuzzer calls with every input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = unsafe UnsafeBufferPointer(start: bytes, count: count)
    let world = unsafe ExchangeWorld(Choices(Array(input)))
    if let breach = world.run() { fatalError(breach) }
    return 0
}
