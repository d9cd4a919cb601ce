import Glibc
import Testing

/// What the fuzzer starts from, and what it has found, once more: whole, cut short, and in pieces of every size.
@Test func `the invariants hold for every input of the corpus`() {
    let here = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
    let inputs = inputs(in: "/\(here)/Fuzz/Corpus/registration")
    #expect(inputs.count >= 10, "the corpus is missing")
    for input in inputs {
        for count in 0...input.count { RegistrationInvariants.check(Array(input.prefix(count))) }
        guard let first = input.first else { continue }
        for pieceBytes in UInt8(0)..<64 {
            RegistrationInvariants.check([first & 0xc0 | pieceBytes] + input.dropFirst())
        }
    }
}

private func inputs(in folder: String) -> [[UInt8]] {
    guard let directory = unsafe opendir(folder) else { return [] }
    defer { unsafe closedir(directory) }
    var inputs: [[UInt8]] = []
    while let entry = unsafe readdir(directory) {
        let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        if !name.hasPrefix(".") { inputs.append(contents(of: folder + "/" + name)) }
    }
    return inputs
}

private func contents(of path: String) -> [UInt8] {
    guard let file = unsafe fopen(path, "r") else { return [] }
    defer { unsafe fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = unsafe bytes.withUnsafeMutableBytes { unsafe fread($0.baseAddress, 1, $0.count, file) }
    return Array(bytes[..<count])
}
