import Glibc
import Testing

@testable import Control

private func route(_ number: Int) -> LogSubject { LogSubject("session lost", "*/\(number) on *:80") }

final class LineRateTests {
    private var rates = LineRates()

    private func admitted(_ count: Int, _ subject: LogSubject, at now: UInt64) -> Int {
        (0..<count).reduce(0) { sum, _ in sum + (rates.admit(subject, now: now) ? 1 : 0) }
    }

    @Test func oneSubjectHasABurstAndThenARate() {
        #expect(admitted(1_000, route(1), at: 5_000) == 50)
        #expect(admitted(1_000, route(1), at: 15_000) == 20)
        // However long it was silent, it has no more than the burst.
        #expect(admitted(1_000, route(1), at: 1 << 40) == 50)
    }

    @Test func manyRoutesThatChangeAtOnceLoseNoLine() {
        for event in ["registered", "session lost", "held", "given up", "listener closed"] {
            for number in 0..<2_000 {
                #expect(admitted(1, LogSubject(event, "*/\(number) on *:80"), at: 5_000) == 1)
            }
        }
        #expect(rates.nextSummary == nil)
    }

    /// Whoever calls himself differently each time gets through for a while, but not for ever.
    @Test func allSubjectsTogetherHaveARate() {
        var count = 0
        for number in 0..<50_000 where rates.admit(route(number), now: 5_000) { count += 1 }
        #expect(count == LineRates.burst)
        var number = 50_000
        for second in 1...100 as ClosedRange<UInt64> {
            for _ in 0..<1_000 {
                if rates.admit(route(number), now: 5_000 + second * 1_000) { count += 1 }
                number += 1
            }
        }
        #expect(count == LineRates.burst + 100 * LineRates.perSecond)
        let summaries = rates.takeSummaries(now: 1 << 40)
        #expect(summaries.reduce(0) { $0 + $1.count } == 150_000 - count)
    }

    /// A flood of services that come and go must not take the warnings away.
    @Test func whatIsUrgentHasARateOfItsOwn() {
        for number in 0..<20_000 { _ = admitted(1, route(number), at: 5_000) }
        #expect(admitted(1, route(20_000), at: 5_000) == 0)
        let isAdmitted = rates.admit(LogSubject(ofLine: "failed on *:80: 1 request"), isUrgent: true, now: 5_000)
        #expect(isAdmitted)
    }

    @Test func whatIsLeftOutIsToldOnceWithinASecond() {
        #expect(admitted(60, route(1), at: 5_000) == 50)
        #expect(rates.nextSummary == 6_000)
        let early = rates.takeSummaries(now: 5_999)
        #expect(early.isEmpty)
        let summaries = rates.takeSummaries(now: 6_000)
        #expect(summaries == [LineRates.Summary(count: 10, subject: route(1))])
        #expect("\(summaries[0])" == "10 lines left out: session lost, */1 on *:80 (more than 2 a second)")
        #expect(rates.nextSummary == nil)
    }

    /// A log of counts would be no better than the one that it stands for.
    @Test func countsOfManySubjectsAreOneCount() {
        for number in 0..<1_000 { _ = admitted(52, route(number), at: 5_000) }
        let summaries = rates.takeSummaries(now: 9_000)
        #expect(summaries.count == LineRates.summariesMaximum + 1)
        #expect(summaries.last?.subject == nil)
        #expect(summaries.reduce(0) { $0 + $1.count } == 1_000 * 52 - LineRates.burst)
    }

    @Test func namesThatAreShortenedToTheSameTextAreDifferentSubjects() {
        let long = String(repeating: "x", count: 100)
        let names = ["/\(long)/a", "/\(long)/b"].map { name(80, $0) }
        #expect("\(names[0])" == "\(names[1])")
        #expect(names[0].subject("held") != names[1].subject("held"))
        #expect(names[0].subject("held") == name(80, "/\(long)/a").subject("held"))
        #expect(names[0].subject("held") != names[0].subject("released"))
    }

    /// Each of them is a new route, and a loop of registrations for them is one loop.
    @Test func portsThatNobodyHasNamedAreOneSubject() {
        func unnamed(_ port: UInt16, _ path: String) -> LogSubject {
            RouteName(pattern: http(path), address: local(port), isNamed: false).subject("held")
        }
        #expect(unnamed(80, "/") == unnamed(81, "/"))
        #expect(unnamed(80, "/") != unnamed(80, "/a"))
        #expect(unnamed(80, "/") != name(80).subject("held"))
    }

    @Test func aLineThatDoesNotSayWhatItIsAboutIsAboutItsBeginning() {
        #expect(LogSubject(ofLine: "failed on *:80: 1 request") == LogSubject(ofLine: "failed on *:80: 2 requests"))
        #expect(LogSubject(ofLine: "failed on *:80: 1 request") != LogSubject(ofLine: "failed on *:81: 1 request"))
        #expect(LogSubject(ofLine: "") == LogSubject(ofLine: ""))
    }
}

/// A file, pipe or disk that takes bytes as the test lets it.
private final class Medium {
    var text = ""
    var room = Int.max
    /// What a write without room returns.
    var error = -Int(EAGAIN)
    private(set) var writes: [Int] = []

    func take(_ bytes: Span<UInt8>) -> Int {
        writes.append(bytes.count)
        guard room > 0 else { return error }
        let count = min(room, bytes.count)
        room -= room == .max ? 0 : count
        text += String(decoding: (0..<count).map { bytes[$0] }, as: UTF8.self)
        return count
    }
}

final class LogQueueTests {
    private var queue = LogQueue { "now" }
    private let medium = Medium()

    private func say(_ line: String, worth: Int = 1) {
        queue.append(line, worth: worth)
        queue.write(by: medium.take)
    }

    @Test func linesAreWrittenAsTheyCome() {
        say("one")
        say("two")
        #expect(medium.text == "one\ntwo\n" && queue.isEmpty)
    }

    /// The reader is only slow: it gets all of them, in writes of whole lines that a pipe takes or does not.
    @Test func whatDoesNotFitWaitsForItsReader() {
        medium.room = 0
        for number in 0..<2_000 { say("line \(number)") }
        #expect(medium.text.isEmpty && !queue.isEmpty)
        medium.room = .max
        queue.write(by: medium.take)
        #expect(medium.text == (0..<2_000).map { "line \($0)\n" }.joined() && queue.isEmpty)
        #expect(medium.writes.allSatisfy { $0 <= LogQueue.writeBytes })
    }

    @Test func aSlowReaderGetsTheRestOfALine() {
        medium.room = 5
        say("one")
        say("two")
        #expect(medium.text == "one\nt")
        medium.room = 1
        queue.write(by: medium.take)
        medium.room = .max
        say("three")
        #expect(medium.text == "one\ntwo\nthree\n")
    }

    @Test func linesThatNobodyReadsAreCounted() {
        medium.room = 0
        let line = String(repeating: "x", count: 999)
        let fitting = LogQueue.capacity / 1_000
        for _ in 0..<fitting + 7 { say(line) }
        medium.room = 1_000
        say(line)
        #expect(medium.text.utf8.count == 1_000)
        medium.room = .max
        // Nobody has to say anything more.
        queue.write(by: medium.take)
        #expect(medium.text.hasSuffix("\nnow warning 8 lines left out, nobody read\n"))
        #expect(medium.text.utf8.filter { $0 == 10 }.count == fitting + 1)
    }

    @Test(arguments: [ENOSPC, EDQUOT, EFBIG, EIO])
    func aFullDiskCountsWhatItLosesAndGoesOnOnALineOfItsOwn(error: Int32) {
        medium.error = -Int(error)
        medium.room = 8
        say("one")
        say("two is cut")
        say("three is lost", worth: 5)
        #expect(medium.text == "one\ntwo " && queue.isEmpty && queue.hasFailed)
        medium.room = .max
        say("four")
        let note = "now warning 6 lines left out, the log could not be written: \(KernelText.error(error))"
        #expect(medium.text == "one\ntwo \n\(note)\nfour\n")
        #expect(!queue.hasFailed)
    }

    @Test func whatIsLostIsToldThoughNothingMoreHappens() {
        medium.error = -Int(ENOSPC)
        medium.room = 0
        say("one")
        queue.retry()
        queue.write(by: medium.take)
        #expect(queue.hasFailed)
        medium.room = .max
        queue.retry()
        queue.write(by: medium.take)
        #expect(medium.text.hasPrefix("now warning 1 line left out, the log could not be written: "))
        #expect(!queue.hasFailed)
    }

    /// Wherever the disk is full, and however much of it comes free each time.
    @Test(arguments: 1...40)
    func everyLineIsWholeOrCounted(room: Int) {
        medium.error = -Int(ENOSPC)
        var said = 0
        for _ in 0..<50 {
            medium.room = room
            for _ in 0..<3 {
                say("line \(said).")
                said += 1
            }
        }
        medium.room = .max
        say("line \(said).")
        let lines = medium.text.split(separator: "\n")
        var counted = 0
        for line in lines where line.hasSuffix("No space left on device") {
            counted += Int(line.split(separator: " ")[2]) ?? 0
        }
        let whole = lines.filter { $0.hasPrefix("line ") && $0.hasSuffix(".") }.count
        #expect(whole + counted == said + 1)
        #expect(medium.text.hasSuffix("\nline \(said).\n") || whole == said + 1)
    }
}
