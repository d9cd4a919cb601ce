import Glibc
import Testing

/// What the fuzzer has found worth keeping.
@Suite struct CorpusTests {
    private static func contents(of path: String) -> [UInt8] {
        guard let file = unsafe fopen(path, "r") else { return [] }
        defer { unsafe fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe fread($0.baseAddress, 1, $0.count, file) }
        return Array(bytes[..<count])
    }

    private static func files(in folder: String) -> [String] {
        guard let directory = unsafe opendir(folder) else { return [] }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append("\(folder)/\(name)") }
        }
        return names.sorted()
    }

    @Test func everyInputOfTheCorpusRuns() {
        let here = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let files = Self.files(in: "/\(here)/Fuzz/Corpus/yamux")
        #expect(!files.isEmpty)
        for file in files {
            var operations = YamuxOperations(Self.contents(of: file)[...])
            operations.run()
        }
    }
}
