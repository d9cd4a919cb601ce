/// Any bytes at all, as a registration and as a response. A broken rule traps, with the rule in its message.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRegistration(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = unsafe UnsafeBufferPointer(start: start, count: count)
    RegistrationInvariants.check(unsafe Array(input))
    return 0
}
