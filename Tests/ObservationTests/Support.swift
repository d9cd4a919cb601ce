import Glibc
import Testing

private struct NoFile: Error {}

/// Runs a command of a shell with a text as its input.
/// - Returns: its exit status, and what it has written to standard output and error.
func run(_ command: String, input: String = "") throws -> (status: Int32, output: String) {
    let file = "/tmp/socketmaster-input-\(getpid())-\(UInt64.random(in: 0 ... .max))"
    guard let stream = unsafe fopen(file, "w") else { throw NoFile() }
    _ = unsafe fputs(input, stream)
    unsafe fclose(stream)
    defer { unsafe unlink(file) }
    // What `make install` has brought, and no package.
    let tools = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() + "/.build/tools"
    let whole = "PATH=\"$PATH:\(tools)\"; { \(command); } 2>&1 <'\(file)'"
    guard let pipe = unsafe popen(whole, "r") else { throw NoFile() }
    var output: [UInt8] = []
    var bytes = [UInt8](repeating: 0, count: 4096)
    while true {
        let count = unsafe fread(&bytes, 1, bytes.count, pipe)
        guard count > 0 else { break }
        output += bytes[..<count]
    }
    let status = unsafe pclose(pipe)
    return (status >> 8 & 0xFF, String(decoding: output, as: UTF8.self))
}
