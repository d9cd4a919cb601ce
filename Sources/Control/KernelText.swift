internal import CKernel
internal import Glibc

/// What the kernel has to say as text, and other facts about the machine: every call that fills memory of ours with it.
enum KernelText {
    /// The meaning of an error number, as a clause.
    static func error(_ number: Int32) -> String {
        let text = unsafe ck_error_text(abs(number))
        return unsafe text.map { unsafe String(cString: $0) } ?? "unknown error"
    }

    /// The kernel's release, `6.1.0-18-amd64`.
    static var release: String {
        unsafe text(capacity: 80) { buffer, capacity in unsafe ck_kernel_release(buffer, capacity) }
    }

    /// Who is at the other end: address and port, or process and user.
    static func peer(of fd: Int32) -> String {
        let text = unsafe text(capacity: 96) { buffer, capacity in unsafe ck_describe_peer(fd, buffer, capacity) }
        return text.isEmpty ? "a service that has left" : text
    }

    /// Where a socket listens, as `--bind` takes it; empty if it cannot be written so.
    static func address(ofListening fd: Int32) -> String {
        unsafe text(capacity: 256) { buffer, capacity in unsafe ck_describe_listening(fd, buffer, capacity) }
    }

    /// Sends a text to a unix socket of datagrams, a path or @ and a name. Never waits. Returns 0 or an error, below 0.
    static func send(_ text: String, to socket: String) -> Int32 {
        let bytes = Array(text.utf8)
        return unsafe socket.withCString { unsafe ck_send_datagram($0, bytes, bytes.count) }
    }

    /// The permissions of a file; none where there is no such file.
    static func permissions(of path: String) -> UInt32 {
        UInt32(max(0, unsafe path.withCString { unsafe ck_file_mode($0) }))
    }

    /// Now, in UTC.
    static var timestamp: String {
        unsafe text(capacity: 40) { buffer, capacity in unsafe ck_timestamp(buffer, capacity) }
    }

    static var secondsSince1970: Int64 { ck_seconds_since_1970() }

    /// A day in UTC, `2027-01-31`.
    static func date(_ secondsSince1970: Int64) -> String {
        unsafe text(capacity: 40) { buffer, capacity in unsafe ck_date(secondsSince1970, buffer, capacity) }
    }

    /// Processors that this process may run on.
    static var processors: [Int] {
        var numbers = [CInt](repeating: 0, count: 1024)
        let count = unsafe ck_processors(&numbers, CInt(numbers.count))
        return numbers.prefix(max(0, Int(count))).map { Int($0) }
    }

    /// The number that a file of the kernel begins with, or nil.
    static func number(inFile path: String) -> Int? {
        let number = unsafe ck_number_in_file(path)
        return number >= 0 ? Int(number) : nil
    }

    /// What a file holds, or nil if that is more than so many bytes, no text, or cannot be read.
    static func contents(of path: String, atMost limit: Int) -> String? {
        var bytes = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = unsafe bytes.withUnsafeMutableBytes { buffer in
                unsafe path.withCString { unsafe ck_read_file($0, buffer.baseAddress, buffer.count) }
            }
            guard count >= 0, count <= limit else { return nil }
            if count < bytes.count { return String(validating: bytes[..<count], as: UTF8.self) }
            bytes = [UInt8](repeating: 0, count: 4 * bytes.count)
        }
    }

    /// A variable of the environment, if it says something.
    static func environment(_ name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        let text = unsafe String(cString: value)
        return text.isEmpty ? nil : text
    }

    /// Takes a variable out of the environment. Before there are other threads, which may look at it.
    static func forget(_ name: String) { unsafe unsetenv(name) }

    /// The first system call that is forbidden to the process although it cannot do without, and the error number.
    static var refusedCall: (name: String, error: Int32)? {
        var error: Int32 = 0
        let name = unsafe text(capacity: 32) { buffer, capacity in
            error = unsafe ck_refused_call(buffer, capacity)
            return error < 0 ? CInt(unsafe strnlen(buffer, Int(capacity))) : 0
        }
        return error < 0 ? (name, -error) : nil
    }

    /// Whether the kernel is of that version or a newer one, as far as it tells.
    static func isAtLeast(_ major: Int, _ minor: Int) -> Bool {
        let numbers = release.split(whereSeparator: { !$0.isNumber }).prefix(2).compactMap { Int($0) }
        guard numbers.count == 2 else { return false }
        return (numbers[0], numbers[1]) >= (major, minor)
    }

    /// Memory of the machine, in bytes.
    static var physicalMemory: Int? {
        let (pages, size) = (sysconf(Int32(_SC_PHYS_PAGES)), sysconf(Int32(_SC_PAGESIZE)))
        return pages > 0 && size > 0 ? pages * size : nil
    }

    /// Writes a line to a descriptor, whole.
    static func write(_ line: String, to fd: Int32) {
        var line = line
        line.append("\n")
        line.withUTF8 { bytes in unsafe ck_write_all(fd, bytes.baseAddress, bytes.count) }
    }

    /// Writes what a descriptor takes without a wait, at most 4096 bytes if it is shared with others.
    /// - Returns: a count of bytes, -EAGAIN, or another negative error number.
    static func writeNow(_ bytes: Span<UInt8>, to fd: Int32) -> Int {
        unsafe bytes.withUnsafeBytes { unsafe ck_write_now(fd, $0.baseAddress, $0.count) }
    }

    /// - Parameter fill: writes at most the capacity and returns how much; negative for nothing.
    private static func text(
        capacity: Int, _ fill: (UnsafeMutablePointer<CChar>, CInt) -> CInt
    ) -> String {
        unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity) { buffer in
            guard let start = buffer.baseAddress else { return "" }
            let count = unsafe fill(start, CInt(capacity))
            let bytes = unsafe UnsafeRawBufferPointer(start: start, count: max(0, Int(count)))
            return unsafe String(decoding: bytes, as: UTF8.self)
        }
    }
}
