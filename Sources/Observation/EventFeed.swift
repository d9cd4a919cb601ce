internal import Control
internal import NIOCore

/// One event a second for all streams together, for as long as there are any. It belongs to an event loop.
final class EventFeed {
    /// What a stream begins with: how long a browser waits before it comes again, in milliseconds.
    static let greeting = "retry: 3000\n\n"

    private let loop: any EventLoop
    private let source: ReportSource
    private var streams: [ObjectIdentifier: Connection] = [:]
    private var tick: Scheduled<Void>?
    private var ticket: ReportSource.Ticket?
    private var lastTick: NIODeadline?

    init(loop: any EventLoop, source: ReportSource) {
        self.loop = loop
        self.source = source
    }

    /// - Returns: false if there are as many as there may be.
    func join(_ connection: Connection) -> Bool {
        guard streams.count < Bounds.streams else { return false }
        streams[ObjectIdentifier(connection)] = connection
        schedule()
        return true
    }

    func leave(_ connection: Connection) {
        streams[ObjectIdentifier(connection)] = nil
        guard streams.isEmpty else { return }
        tick?.cancel()
        tick = nil
        ticket.map(source.forget)
        ticket = nil
    }

    /// The first stream gets its first event at once, unless another one has just been there.
    private func schedule() {
        guard tick == nil else { return }
        let time = lastTick.map { max($0 + Bounds.event, loop.now) } ?? loop.now
        tick = loop.assumeIsolated().scheduleTask(deadline: time) { self.turn() }
    }

    private func turn() {
        tick = nil
        lastTick = loop.now
        schedule()
        // An open question is not asked again.
        guard ticket == nil else { return }
        if let report = source.report(isScrape: false) { return publish(report) }
        ticket = source.wait(isScrape: false) { report in
            self.ticket = nil
            self.publish(report)
        }
    }

    private func publish(_ report: Report) {
        var event = ByteBuffer(string: "event: status\ndata: ")
        event.writeImmutableBuffer(StatusJSON.bytes(report))
        event.writeString("\n\n")
        for stream in streams.values { stream.take(event: event) }
    }
}
