import Foundation
import HTTP1
import Testing

/// What the fuzzer starts from, and what it has found, once more.
@Suite struct CorpusTests {
    private static var inputs: [(name: String, bytes: [UInt8])] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Fuzz/Corpus/http1")
            .standardized
        let files = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
        return files.compactMap { file in (try? Data(contentsOf: file)).map { (file.lastPathComponent, Array($0)) } }
    }

    @Test("the invariants hold for every input of the corpus, for its parts, and for it with every byte changed")
    func corpus() {
        let inputs = Self.inputs
        #expect(inputs.count >= 16, "the corpus is missing")
        for (name, bytes) in inputs {
            for count in 0...bytes.count {
                let fault = HTTP1Invariants.check(Array(bytes.prefix(count)))
                #expect(fault == nil, "\(name), \(count) bytes")
            }
            for index in bytes.indices {
                var changed = bytes
                changed[index] ^= 0x20
                let fault = HTTP1Invariants.check(changed)
                #expect(fault == nil, "\(name), byte \(index)")
            }
        }
    }
}
