internal import NIOCore
internal import NIOHTTP1

/// What all connections share, on the one event loop.
final class Reception {
    /// There are as many connections as there may be.
    struct Crowded: Error {}

    let judge: Judge
    let page: Page
    let source: ReportSource
    let feed: EventFeed
    private(set) var connections = 0

    init(loop: any EventLoop, hosts: [String], page: Page, ask: @escaping ReportSource.Ask) {
        judge = Judge(hosts: HostRule(names: hosts))
        self.page = page
        source = ReportSource(loop: loop, ask: ask)
        feed = EventFeed(loop: loop, source: source)
    }

    /// A client has come.
    /// - Throws: ``Crowded``; whoever called closes the channel then.
    func admit(_ channel: any Channel) throws {
        guard connections < Bounds.connections else { throw Crowded() }
        connections += 1
        channel.closeFuture.assumeIsolated().whenComplete { _ in self.connections -= 1 }
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = Bounds.headBytes
        limits.maxHeaderListSize = Bounds.headBytes
        let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: limits)
        // Replies say how they are framed: the encoder takes one to HEAD for one with a body.
        var configuration = HTTPResponseEncoder.Configuration()
        configuration.automaticallySetFramingHeaders = false
        try channel.pipeline.syncOperations.addHandlers(
            HeadGate(), HTTPResponseEncoder(configuration: configuration), ByteToMessageHandler(decoder),
            Connection(self))
    }
}
