import Foundation
import Testing

/// What the fuzzer starts from, and what it has found, once more.
@Suite struct CorpusTests {
    @Test func `every input of the corpus runs`() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Fuzz/Corpus/exchanges")
            .standardized
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        #expect(files.count >= 16, "the corpus is missing")
        for file in files {
            let world = ExchangeWorld(Choices(Array(try Data(contentsOf: file))))
            #expect(world.run() == nil, "\(file.lastPathComponent)")
        }
    }
}
