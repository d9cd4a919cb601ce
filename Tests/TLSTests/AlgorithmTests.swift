import CTLS
import CTLSClient
import TLS
import Testing

/// EVP_KDF_HKDF_MODE_EXTRACT_ONLY and _EXPAND_ONLY.
private let extract: CInt = 1
private let expand: CInt = 2

private func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255) } }

private func schedule(
    ours: Bool, _ digest: String, _ mode: CInt, key: [UInt8]?, salt: [UInt8]?, label: String, data: [UInt8]?,
    count: Int
) -> [UInt8]? {
    var out = [UInt8](repeating: 0, count: count)
    let isDerived = unsafe tc_schedule(
        ours ? ct_algorithms() : nil, digest, mode, key, key?.count ?? 0, salt, salt?.count ?? 0, label, data,
        data?.count ?? 0, &out, count)
    return isDerived ? out : nil
}

@Test func `the key schedule is OpenSSL's, value for value`() {
    #expect(TestTLS.isStarted)
    for (digest, size) in [("SHA256", 32), ("SHA384", 48)] {
        for _ in 0..<200 {
            let label = ["c hs traffic", "s ap traffic", "key", "iv", "finished", "res master", "derived"]
                .randomElement()!
            let data = [nil, [], bytes(size)].randomElement()!
            let count = Int.random(in: 1...size)
            let key = bytes(size)
            let value = schedule(
                ours: true, digest, expand, key: key, salt: nil, label: label, data: data, count: count)
            #expect(value != nil)
            #expect(
                value
                    == schedule(
                        ours: false, digest, expand, key: key, salt: nil, label: label, data: data, count: count)
            )
        }
        for key in [nil, bytes(32), bytes(48), bytes(66)] {
            for salt in [nil, bytes(size)] {
                let value = schedule(
                    ours: true, digest, extract, key: key, salt: salt, label: "derived", data: nil, count: size)
                #expect(value != nil)
                #expect(
                    value
                        == schedule(
                            ours: false, digest, extract, key: key, salt: salt, label: "derived", data: nil,
                            count: size))
            }
        }
    }
}

@Test func `the key schedule refuses what it does not know`() {
    #expect(TestTLS.isStarted)
    let key = bytes(32)
    #expect(schedule(ours: true, "SHA512", expand, key: key, salt: nil, label: "key", data: nil, count: 16) == nil)
    #expect(schedule(ours: true, "SHA256", expand, key: key, salt: nil, label: "key", data: nil, count: 33) == nil)
    #expect(schedule(ours: true, "SHA256", expand, key: nil, salt: nil, label: "key", data: nil, count: 16) == nil)
    #expect(schedule(ours: true, "SHA256", extract, key: key, salt: nil, label: "key", data: nil, count: 31) == nil)
    #expect(schedule(ours: true, "SHA256", 0, key: key, salt: nil, label: "key", data: nil, count: 16) == nil)
    let long = bytes(200)
    #expect(schedule(ours: true, "SHA256", expand, key: long, salt: nil, label: "key", data: nil, count: 16) == nil)
}
