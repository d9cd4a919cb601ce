/// Any bytes at all, as a request, as a reply and as a chunked body. A broken rule traps, with the rule in its message.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzHTTP1(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = unsafe UnsafeBufferPointer(start: start, count: count)
    let fault = HTTP1Invariants.check(unsafe Array(input))
    precondition(fault == nil, fault ?? "")
    return 0
}
