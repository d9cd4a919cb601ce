import Registration
import Testing
import TestSupport

private func decode(_ bytes: [UInt8], expectsAttributes: Bool, pieces: Int) -> (RegistrationResponseDecoder, Int) {
    var decoder = RegistrationResponseDecoder(expectsAttributes: expectsAttributes)
    var consumed = 0
    while consumed < bytes.count, case .needsMore = decoder.state {
        let piece = Array(bytes[consumed..<min(consumed + pieces, bytes.count)])
        consumed += decoder.receive(piece.span)
    }
    return (decoder, consumed)
}

@Test func `services of the original get nothing but the status`() {
    #expect(RegistrationResponse(status: "OK").encoded() == [0, 0, 0, 0, 0, 0, 0, 2, 0x4f, 0x4b])
}

@Test func `attributes follow the status, in one order`() {
    let response = RegistrationResponse(status: "OK", attributes: ["reactors": "2", "port": "8000"])
    #expect(
        response.encoded()
            == string("OK") + integer(2) + string("port") + string("8000") + string("reactors") + string("2"))
}

@Test func `a response is read in pieces of any size and nothing behind it is touched`() {
    let responses = [
        RegistrationResponse(status: "OK"),
        RegistrationResponse(status: "OK", attributes: [:]),
        RegistrationResponse(status: "OK", attributes: ["port": "1", "": "", "é": "ü"]),
    ]
    for response in responses {
        let bytes = response.encoded()
        for pieces in 1...bytes.count + 4 {
            let (decoder, consumed) = decode(
                bytes + [0, 0, 0, 0], expectsAttributes: response.attributes != nil, pieces: pieces)
            #expect(decoder.state == .complete(response))
            #expect(consumed == bytes.count)
        }
    }
}

@Test func `after a refusal nothing is waited for`() {
    let refusal = RegistrationResponse(status: "The port is taken.")
    for pieces in 1...30 {
        let (decoder, _) = decode(refusal.encoded(), expectsAttributes: true, pieces: pieces)
        #expect(decoder.state == .complete(refusal))
        #expect(!refusal.isAccepted)
    }
}

@Test func `a proxy cannot make a service keep more than the bounds`() {
    for (before, field, limit) in [
        ([], RegistrationRefusal.Field.status, 4_096), (string("OK") + integer(1), .attributeName, 4_096),
        (string("OK") + integer(1) + string("abc"), .attributeValue, 4_093),
    ] {
        for announced in [limit + 1, -1, .min, .max] {
            let (decoder, _) = decode(before + integer(announced), expectsAttributes: true, pieces: 7)
            #expect(decoder.state == .broken(.length(field, announced: announced, limit: limit)))
        }
    }
    for count in [65, -1, .max] {
        let (decoder, _) = decode(string("OK") + integer(count), expectsAttributes: true, pieces: 7)
        #expect(decoder.state == .broken(.attributeCount(announced: count)))
    }
    let (decoder, _) = decode(integer(1) + [0xff], expectsAttributes: false, pieces: 7)
    #expect(decoder.state == .broken(.notUTF8(.status)))
}

@Test(arguments: UInt64(0)..<100)
func `garbage instead of a response never traps`(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var bytes = RegistrationResponse(status: "OK", attributes: ["a": "b", "c": "d"]).encoded()
    for _ in 0..<Int.random(in: 1...6, using: &generator) {
        bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
    }
    let (whole, consumed) = decode(bytes, expectsAttributes: true, pieces: .max / 2)
    let (parts, consumedInParts) = decode(bytes, expectsAttributes: true, pieces: 1)
    #expect(whole.state == parts.state && consumed == consumedInParts, "seed \(seed)")
}
