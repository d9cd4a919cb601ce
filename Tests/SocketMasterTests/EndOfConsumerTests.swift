import Logging
import NIOCore
import NIOEmbedded
import Testing
import Yamux

@testable import SocketMaster

/// A session whose streams go to a listener, by an initializer that takes its time. All in virtual time.
private final class WholeFixture<Output: Sendable>: @unchecked Sendable {
    let loop = EmbeddedEventLoop()
    let listener: ListenerChannel<Output>
    let fixture: Fixture
    /// The channels that are being initialized.
    private let initializing: Initializing

    final class Initializing: @unchecked Sendable {
        var started: [(channel: any Channel, recorder: Recorder, promise: EventLoopPromise<Void>)] = []
    }

    init(records: Bool = true, _ output: @escaping @Sendable (any Channel) throws -> Output) throws {
        let initializing = Initializing()
        self.initializing = initializing
        listener = ListenerChannel(eventLoop: loop) { quiet, _ in quiet.succeed() }
        let acceptor = SessionAcceptor(listener: listener, options: nil) { channel in
            let recorder = Recorder()
            let promise = channel.eventLoop.makePromise(of: Void.self)
            // It hands nothing on, as the last handler may.
            if records { try! channel.pipeline.syncOperations.addHandler(recorder) }
            initializing.started.append((channel, recorder, promise))
            return promise.futureResult.flatMapThrowing { try output(channel) }
        }
        fixture = try Fixture(acceptor: acceptor)
        listener.activate(address: nil)
        loop.run()
    }

    var count: Int { initializing.started.count }
    func recorder(_ index: Int) -> Recorder { initializing.started[index].recorder }

    /// Opens a stream, and returns its id; its initializer has begun.
    func open(_ bytes: [UInt8]) throws -> UInt32 {
        let (id, before) = (fixture.proxy.nextID, count)
        fixture.send(fixture.proxy.open(bytes))
        try #require(count == before + 1)
        return id
    }

    /// The initializer has done its work.
    func initialize(_ index: Int = 0) {
        initializing.started[index].promise.succeed()
        settle()
    }

    /// The initializer says something.
    func write(_ bytes: [UInt8], _ index: Int = 0) {
        initializing.started[index].channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
        settle()
    }

    func endOutput(_ index: Int = 0) {
        initializing.started[index].channel.close(mode: .output, promise: nil)
        settle()
    }

    func settle() {
        fixture.exchange()
        loop.run()
        fixture.exchange()
    }
}

private final class Token: Sendable {}

private final class Handed: @unchecked Sendable {
    weak var token: Token?
}

/// A proxy that has taken a stream back gives it to somebody else. Nobody here may do the same work again.
@Test(arguments: ["reset", "drain", "loss"])
func `what ends while it is being initialized is never delivered`(end: String) throws {
    let whole = try WholeFixture { _ in Token() }
    let id = try whole.open([1, 2, 3])
    switch end {
    case "reset": whole.fixture.send(whole.fixture.proxy.reset(id), FrameHeader.ping(1).bytes)
    case "drain": whole.fixture.handler.drain(timeout: .seconds(30))
    default: whole.fixture.channel.close(promise: nil)
    }
    whole.settle()
    #expect(whole.fixture.proxy.streams[id]?.state.isAcknowledged == false)
    whole.initialize()
    #expect(whole.recorder(0).received.isEmpty && whole.recorder(0).events.last == "inactive")
    #expect(whole.fixture.proxy.streams[id]?.state.isAcknowledged == false)
}

@Test func `an initializer that outlives its listener leaves nothing behind`() throws {
    let handed = Handed()
    let whole = try WholeFixture { _ in
        let token = Token()
        handed.token = token
        return token
    }
    _ = try whole.open([1])
    whole.listener.close(promise: nil)
    whole.settle()
    #expect(!whole.listener.isActive)
    whole.initialize()
    #expect(whole.recorder(0).events.last == "inactive" && handed.token == nil)
}

/// A session that breaks in the middle of a read does not hear of its end.
@Test func `connections of a session that breaks are still passed on`() throws {
    let taken = Counter()
    let whole = try WholeFixture { _ in 1 }
    try whole.listener.pipeline.syncOperations.addHandler(taken)
    _ = try whole.open([1])
    whole.fixture.channel.pipeline.fireChannelRead(ByteBuffer(bytes: FrameHeader.ping(1).bytes))
    whole.initialize()
    #expect(taken.count == 0, "the read goes on")
    whole.fixture.channel.pipeline.fireChannelRead(ByteBuffer(bytes: [1] + [UInt8](repeating: 0, count: 11)))
    whole.settle()
    #expect(!whole.fixture.events.isEmpty && taken.count == 1)
}

private final class Counter: ChannelInboundHandler {
    typealias InboundIn = InitializedConnection<Int>
    var count = 0
    func channelRead(context: ChannelHandlerContext, data: NIOAny) { count += 1 }
}

@Test func `connections that nobody takes from the sequence are reset`() throws {
    try letGo { try SocketMasterConnection.initialize($0).wait() }
}

/// A `NIOAsyncChannel` that is let go while its channel is open ends the process.
@Test func `channels that nobody takes from the sequence are reset`() throws {
    try letGo { try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: $0) }
}

/// Their handlers have been serving them since they were initialized.
@Test func `connections whose initializer gives nothing go on without the sequence`() throws {
    let whole = try WholeFixture { _ in }
    let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    var sequence: ConnectionSequence? = try ConnectionSequence<Void>(whole.listener, strategy: nil, log: log)
    #expect(sequence != nil)
    let id = try whole.open([1])
    whole.initialize()
    sequence = nil
    whole.settle()
    #expect(whole.fixture.proxy.streams[id]?.isReset == false && whole.recorder(0).events == ["active"])
    whole.fixture.send(whole.fixture.proxy.data(id, [2]))
    whole.settle()
    #expect(whole.recorder(0).received == [1, 2] && !whole.listener.isActive)
}

private func letGo<Output: Sendable>(_ output: @escaping @Sendable (any Channel) throws -> Output) throws {
    let whole = try WholeFixture(records: false, output)
    let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    var sequence: ConnectionSequence? = try ConnectionSequence<Output>(whole.listener, strategy: nil, log: log)
    #expect(sequence != nil)
    // Ten lie in the sequence, the others with the listener, and one comes later.
    let ids = try (0..<15).map { try whole.open([UInt8($0)]) }
    for index in 0..<14 { whole.initialize(index) }
    sequence = nil
    whole.initialize(14)
    whole.settle()
    for id in ids { #expect(whole.fixture.proxy.streams[id]?.isReset == true, "stream \(id)") }
    #expect(whole.fixture.handler.streams.isEmpty && !whole.listener.isActive)
}

@Test func `a connection that is let go without being served is reset`() throws {
    let fixture = try Fixture()
    var connection: SocketMasterConnection?
    fixture.acceptor.prepare = { stream, _ in connection = try SocketMasterConnection.initialize(stream).wait() }
    let (id, stream, _) = try fixture.open([1])
    #expect(stream.isActive && connection != nil)
    connection = nil
    fixture.exchange()
    #expect(fixture.proxy.streams[id]?.isReset == true && !stream.isActive)
}

/// Its bytes have reached the client: nobody else can serve it.
@Test(arguments: [[7], []])
func `a stream whose initializer has written goes on when the service is withdrawn`(bytes: [UInt8]) throws {
    let whole = try WholeFixture { _ in 1 }
    let id = try whole.open([1])
    whole.write(bytes)
    // The end alone says as much.
    if bytes.isEmpty { whole.endOutput() }
    #expect(whole.fixture.proxy.streams[id]?.received == bytes)
    #expect(whole.fixture.proxy.streams[id]?.isFinished == bytes.isEmpty)
    _ = whole.fixture.handler.withdraw()
    whole.settle()
    whole.fixture.handler.giveBack()
    whole.settle()
    #expect(whole.fixture.proxy.streams[id]?.isReset == false)
    whole.initialize()
    #expect(whole.recorder(0).received == [1] && whole.recorder(0).events == ["active"])
}
