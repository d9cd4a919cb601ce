internal import Glibc

/// Lines on their way to whoever reads the log: bounded, so that nobody has to wait for a reader, and large enough that
/// a reader who is only slow misses nothing. What cannot be written is counted, and the count is a line of its own as
/// soon as one gets through, which begins on a new line wherever the last one was cut.
///
/// Pure: the call that writes comes in. `append` for each line, then `write`; `write` again when there may be room, and
/// `retry` from time to time as long as `hasFailed`.
struct LogQueue {
    /// Bytes: both lines of each of 2000 sessions that end at once, with the longest paths that are shown.
    static let capacity = 4 << 20
    /// A pipe takes this much or nothing when it says that it is writable.
    static let writeBytes = 4_096

    private struct Entry {
        var bytesLeft: Int
        /// How many lines are lost if this one is: a count stands for those that it counts.
        let worth: Int
    }

    private let stamp: @Sendable () -> String
    private var bytes: [UInt8] = []
    private var entries: [Entry] = []
    /// What has been written of each.
    private var bytesWritten = 0
    private var entriesWritten = 0
    /// Whether the first one of those that are left has been written in part.
    private var isWithinLine = false
    /// The beginning of a line has been written whose rest is lost.
    private var isCut = false
    private var unread = 0
    private var failed = 0
    /// How many lines were lost so far.
    private(set) var linesLeftOut: UInt64 = 0
    private var failure: Int32 = 0

    /// - Parameter stamp: what a line of the queue's own begins with.
    init(stamp: @escaping @Sendable () -> String) {
        self.stamp = stamp
    }

    var isEmpty: Bool { bytesWritten == bytes.count }
    /// Lines are lost and nobody has been told.
    var hasFailed: Bool { failed > 0 }
    /// The last write said that nobody will ever read again.
    var hasNoReader: Bool { failure == EPIPE }
    private var count: Int { bytes.count - bytesWritten }

    /// - Parameter worth: how many lines it stands for.
    mutating func append(_ line: String, worth: Int = 1) {
        noteFailure()
        noteUnread()
        guard unread == 0, count + line.utf8.count < Self.capacity else {
            unread += worth
            linesLeftOut += UInt64(worth)
            return
        }
        push(line, worth)
    }

    /// Tries again to tell what is lost.
    mutating func retry() { noteFailure() }

    private mutating func push(_ line: String, _ worth: Int) {
        bytes.append(contentsOf: line.utf8)
        bytes.append(UInt8(ascii: "\n"))
        entries.append(Entry(bytesLeft: line.utf8.count + 1, worth: worth))
    }

    private mutating func noteFailure() {
        guard failed > 0 else { return }
        let cause = "the log could not be written: \(KernelText.error(failure))"
        push("\(stamp()) warning \(counted(failed, "line")) left out, \(cause)", failed)
        failed = 0
    }

    /// Not before there is room again for more than this one.
    private mutating func noteUnread() {
        guard unread > 0, count < Self.capacity / 2 else { return }
        push("\(stamp()) warning \(counted(unread, "line")) left out, nobody read", unread)
        unread = 0
    }

    /// Writes until everything is written, or has failed, or would have to wait.
    /// - Parameter write: writes at once what it can, and returns a count, -EAGAIN or another negative error number.
    mutating func write(by write: (Span<UInt8>) -> Int) {
        while true {
            noteUnread()
            guard !isEmpty else { break }
            let result = isCut ? write(Self.newLine.span) : writeSome(by: write)
            if result == -Int(EAGAIN) { return compact() }
            guard result > 0 else {
                fail(Int32(clamping: -result))
                break
            }
            failure = 0
            if isCut { isCut = false } else { advance(by: result) }
        }
        compact()
    }

    private static let newLine = [UInt8(ascii: "\n")]

    /// As many whole lines as fit into one write, so that those of other programs do not get in between.
    private func writeSome(by write: (Span<UInt8>) -> Int) -> Int {
        var size = 0
        for entry in entries[entriesWritten...] {
            guard size + entry.bytesLeft <= Self.writeBytes else { break }
            size += entry.bytesLeft
        }
        if size == 0 { size = Self.writeBytes }
        return write(bytes.span.extracting(bytesWritten..<bytesWritten + size))
    }

    private mutating func advance(by count: Int) {
        bytesWritten += count
        var count = count
        while count > 0, count >= entries[entriesWritten].bytesLeft {
            count -= entries[entriesWritten].bytesLeft
            entriesWritten += 1
            isWithinLine = false
        }
        guard count > 0 else { return }
        entries[entriesWritten].bytesLeft -= count
        isWithinLine = true
    }

    private mutating func fail(_ error: Int32) {
        failure = error
        var lost = entries[entriesWritten...].reduce(0) { $0 + $1.worth }
        // Only its end is missing, which comes with the next line.
        if isWithinLine, entries[entriesWritten].bytesLeft == 1 { lost -= entries[entriesWritten].worth }
        failed += lost
        linesLeftOut += UInt64(lost)
        isCut = isCut || isWithinLine
        isWithinLine = false
        bytesWritten = bytes.count
        entriesWritten = entries.count
    }

    private mutating func compact() {
        if isEmpty, bytes.capacity > 1 << 16 {
            (bytes, entries) = ([], [])
        } else if isEmpty || bytesWritten > Self.capacity / 4 {
            bytes.removeFirst(bytesWritten)
            entries.removeFirst(entriesWritten)
        } else {
            return
        }
        (bytesWritten, entriesWritten) = (0, 0)
    }
}
