import Logging
import NIOCore
import NIOEmbedded
import NIOPosix
import Registration
import Synchronization
import Testing

@testable import SocketMaster

/// What an application sees of a listener whose connections are numbers.
private final class NumberRecorder: ChannelInboundHandler {
    typealias InboundIn = InitializedConnection<Int>

    var numbers: [Int] = []
    var cycles = 0
    var events: [String] = []

    func channelActive(context: ChannelHandlerContext) { events.append("active") }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) { numbers.append(Self.unwrapInboundIn(data).output) }
    func channelReadComplete(context: ChannelHandlerContext) { cycles += 1 }
    func channelInactive(context: ChannelHandlerContext) { events.append("inactive after \(numbers.count)") }
}

/// A listener in virtual time; the test is its sessions.
private final class ListenerFixture: @unchecked Sendable {
    let loop = EmbeddedEventLoop()
    let recorder = NumberRecorder()
    let session = UntakenStreams()
    private(set) var listener: ListenerChannel<Int>!
    private(set) var wakes = 0
    /// The connections.
    private(set) var channels: [EmbeddedChannel] = []
    private(set) var withdrawals: [Bool] = []
    private(set) var ending: [(quiet: EventLoopPromise<Void>, ended: EventLoopPromise<Void>)] = []

    init(autoRead: Bool = true) throws {
        listener = ListenerChannel(
            eventLoop: loop, shutDown: { [unowned self] in ending.append(($0, $1)) },
            setWithdrawn: { [unowned self] in
                withdrawals.append($0)
                $1?.succeed()
            })
        try listener.pipeline.syncOperations.addHandler(recorder)
        let isSet = listener.setOption(.autoRead, value: autoRead)
        loop.run()
        try isSet.wait()
        listener.addSession(session) { self.wakes += 1 }
    }

    func publish() throws {
        listener.activate(address: try SocketAddress(ipAddress: "127.0.0.1", port: 80))
        loop.run()
    }

    func receive(_ numbers: Range<Int>) {
        for _ in numbers { session.add() }
        listener.receive(
            numbers.map { number in
                let channel = EmbeddedChannel(loop: loop)
                channels.append(channel)
                return InitializedConnection(output: number, channel: channel)
            }, from: session)
        loop.run()
    }

    /// What has become of a close, once it has become something.
    func close() -> () -> Result<Void, any Error>? {
        final class Outcome: @unchecked Sendable { var result: Result<Void, any Error>? }
        let outcome = Outcome()
        listener.close().assumeIsolated().whenComplete { outcome.result = $0 }
        loop.run()
        return { outcome.result }
    }
}

@Test func `a listener is withdrawn and published again by events, unless it is closed`() throws {
    let fixture = try ListenerFixture()
    try fixture.publish()
    try fixture.listener.triggerUserOutboundEvent(WithdrawService()).wait()
    try fixture.listener.triggerUserOutboundEvent(PublishAgain()).wait()
    #expect(fixture.withdrawals == [true, false] && fixture.listener.isActive)
    _ = fixture.close()
    #expect(throws: ChannelError.alreadyClosed) {
        try fixture.listener.triggerUserOutboundEvent(WithdrawService()).wait()
    }
    #expect(fixture.withdrawals.count == 2)
    for (quiet, ended) in fixture.ending {
        quiet.succeed()
        ended.succeed()
    }
    fixture.loop.run()
}

@Test func `connections are read a few at a time, in their order`() throws {
    let fixture = try ListenerFixture()
    fixture.receive(0..<3)
    #expect(fixture.recorder.numbers.isEmpty)
    try fixture.publish()
    fixture.receive(3..<40)
    #expect(fixture.recorder.numbers == Array(0..<40) && fixture.recorder.events == ["active"])
    #expect(fixture.recorder.cycles >= 3)
    #expect(fixture.listener.isWilling && fixture.listener.localAddress?.port == 80)
}

@Test func `who does not read gets none, and sessions are woken when he does`() throws {
    let fixture = try ListenerFixture(autoRead: false)
    try fixture.publish()
    #expect(!fixture.listener.isWilling && fixture.wakes == 0)
    for round in 1...3 {
        fixture.listener.read()
        #expect(fixture.listener.isWilling && fixture.wakes == round)
        fixture.receive((round - 1) * 20..<round * 20)
        // One read is answered by one batch.
        #expect(fixture.recorder.cycles == 2 * round - 1 && !fixture.listener.isWilling)
        fixture.listener.read()
        fixture.loop.run()
        #expect(fixture.recorder.numbers.count == round * 20 && fixture.recorder.cycles == 2 * round)
    }
}

@Test func `a session with too many untaken connections is woken when one is taken`() throws {
    let fixture = try ListenerFixture(autoRead: false)
    try fixture.publish()
    fixture.receive(0..<UntakenStreams.maximum)
    #expect(fixture.session.isFull)
    let wakes = fixture.wakes
    fixture.listener.read()
    fixture.loop.run()
    #expect(!fixture.session.isFull && fixture.wakes > wakes)
}

@Test func `connections that came before the close are served, and it is complete at the end of all`() throws {
    let fixture = try ListenerFixture(autoRead: false)
    try fixture.publish()
    fixture.receive(0..<5)
    let first = fixture.close()
    let second = fixture.close()
    #expect(fixture.ending.count == 1 && !fixture.listener.isWilling && first() == nil)
    fixture.receive(5..<6)
    fixture.ending[0].quiet.succeed()
    fixture.loop.run()
    #expect(fixture.recorder.numbers == Array(0..<6))
    #expect(fixture.recorder.events == ["active", "inactive after 6"] && !fixture.listener.isActive)
    let third = fixture.close()
    #expect(first() == nil && second() == nil && third() == nil)
    fixture.ending[0].ended.succeed()
    fixture.loop.run()
    for outcome in [first(), second(), third()] { #expect(throws: Never.self) { try #require(outcome).get() } }
    #expect(throws: Never.self) { try fixture.listener.closeFuture.wait() }
    guard case .failure(ChannelError.alreadyClosed) = fixture.close()() else {
        Issue.record("a listener was closed twice")
        return
    }
}

@Test func `a listener that was never published can be closed`() throws {
    let fixture = try ListenerFixture()
    let outcome = fixture.close()
    fixture.ending[0].quiet.succeed()
    fixture.ending[0].ended.succeed()
    fixture.loop.run()
    #expect(throws: Never.self) { try #require(outcome()).get() }
    try fixture.publish()
    #expect(fixture.recorder.events.isEmpty)
}

/// The last session may be lost while it is asked to be quiet.
@Test func `sessions that end before they are quiet leave nothing undone`() throws {
    let fixture = try ListenerFixture(autoRead: false)
    try fixture.publish()
    fixture.receive(0..<5)
    let outcome = fixture.close()
    fixture.ending[0].ended.succeed()
    fixture.loop.run()
    #expect(fixture.recorder.numbers == Array(0..<5) && !fixture.listener.isActive && outcome() != nil)
    #expect(fixture.recorder.events == ["active", "inactive after 5"])
    fixture.ending[0].quiet.succeed()
    fixture.loop.run()
    #expect(fixture.recorder.events.count == 2)
}

@Test func `what comes when nobody is left to take it is ended, and not kept`() throws {
    let fixture = try ListenerFixture(autoRead: false)
    try fixture.publish()
    _ = fixture.close()
    fixture.ending[0].quiet.succeed()
    fixture.loop.run()
    for (round, number) in [0, UntakenStreams.maximum].enumerated() {
        fixture.receive(number..<number + UntakenStreams.maximum)
        #expect(fixture.channels.count == (round + 1) * UntakenStreams.maximum)
        #expect(fixture.channels.allSatisfy { $0.closeFuture.isFulfilled } && !fixture.session.isFull)
        #expect(fixture.recorder.numbers.isEmpty && fixture.recorder.events == ["active", "inactive after 0"])
        fixture.ending[0].ended.succeed()
        fixture.loop.run()
    }
}

@Test func `what came before a listener was published is ended if it never is`() throws {
    let fixture = try ListenerFixture()
    fixture.receive(0..<3)
    _ = fixture.close()
    #expect(fixture.channels.allSatisfy { $0.closeFuture.isFulfilled } && fixture.recorder.numbers.isEmpty)
}

@Test func `what a listener cannot do is refused`() throws {
    let fixture = try ListenerFixture()
    let address = try SocketAddress(ipAddress: "127.0.0.1", port: 80)
    let futures = [
        fixture.listener.bind(to: address), fixture.listener.connect(to: address), fixture.listener.register(),
        fixture.listener.writeAndFlush(ByteBuffer()), fixture.listener.close(mode: .output),
        fixture.listener.triggerUserOutboundEvent(1), fixture.listener.setOption(.maxMessagesPerRead, value: 1),
    ]
    fixture.loop.run()
    for future in futures { #expect(throws: ChannelError.operationUnsupported) { try future.wait() } }
}

/// A proxy on a real socket that says yes to every registration, or whatever a test wants it to.
struct WillingProxy {
    let channel: any Channel
    /// How many it has answered.
    var registrations: Int { answers.count.load(ordering: .acquiring) }
    private let answers = Answers()

    private final class Answers: Sendable {
        let count = Atomic(0)
    }

    private final class Yes: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private var decoder = RegistrationDecoder()
        private let status: String
        private let answers: Answers

        init(_ status: String, _ answers: Answers) {
            self.status = status
            self.answers = answers
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard case .needsMore = decoder.state else { return }
            let bytes = Self.unwrapInboundIn(data)
            _ = decoder.receive(bytes.readableBytesUInt8Span)
            guard case .complete = decoder.state else { return }
            let response = RegistrationResponse(status: status, attributes: ["port": "8080", "reactors": "1"]).encoded()
            context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(bytes: response)), promise: nil)
            answers.count.add(1, ordering: .releasing)
        }
    }

    init(status: String = "OK") async throws {
        let answers = answers
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Yes(status, answers))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    var bootstrap: SocketMasterBootstrap {
        get throws {
            SocketMasterBootstrap(proxy: try ControlAddress(parsing: "127.0.0.1:\(channel.localAddress?.port ?? 0)"))
        }
    }
}

@Test func `a listener knows its port, and the sequence ends when it is closed`() async throws {
    let proxy = try await WillingProxy()
    let listener = try await proxy.bootstrap.listen(SocketDefinition(port: 0))
    #expect(listener.port == 8080)
    async let count = listener.reduce(0) { count, _ in count + 1 }
    await listener.close()
    #expect(await count == 0)
    try await proxy.channel.close()
}

@Test func `a service runs until its task is cancelled`() async throws {
    let proxy = try await WillingProxy()
    let service = SocketMasterService(SocketDefinition(port: 0), bootstrap: try proxy.bootstrap) { _ in }
    let running = Task { try await service.run() }
    try await Task.sleep(for: .milliseconds(50))
    running.cancel()
    // Whether it was published already or not: it ends, and soon.
    switch await running.result {
    case .success, .failure(is CancellationError): break
    case .failure(let error): Issue.record("\(error)")
    }
    try await proxy.channel.close()
}

@Test func `a service that cannot be published says why`() async throws {
    let proxy = try await WillingProxy()
    let bootstrap = try proxy.bootstrap
    try await proxy.channel.close()
    await #expect(throws: SocketMasterError.self) {
        try await SocketMasterService(SocketDefinition(port: 80), bootstrap: bootstrap) { _ in }.run()
    }
    await #expect(throws: SocketMasterError.self) {
        try await SocketMasterService(SocketDefinition(port: -1), bootstrap: bootstrap) { _ in }.run()
    }
}

@Test func `a listener lives as long as the function that it is given to, whatever comes of that`() async throws {
    struct Stop: Error {}
    let proxy = try await WillingProxy()
    let bootstrap = try proxy.bootstrap
    let listener = try await bootstrap.withListener(SocketDefinition(port: 0)) { listener in
        #expect(listener.channel.isActive)
        return listener
    }
    #expect(!listener.channel.isActive)
    try await listener.channel.closeFuture.get()
    await #expect(throws: Stop.self) {
        try await bootstrap.withListener(SocketDefinition(port: 0)) { _ in throw Stop() }
    }
    try await proxy.channel.close()
    await #expect(throws: SocketMasterError.self) {
        try await bootstrap.withListener(SocketDefinition(port: 0)) { _ in }
    }
}

@Test func `a service of either kind is published, and returns when its task is cancelled`() async throws {
    let proxy = try await WillingProxy()
    let bootstrap = try proxy.bootstrap
    // As they are written: what a closure takes says which service it is.
    let services = [
        SocketMasterService(SocketDefinition(port: 0, http: .init()), bootstrap: bootstrap) { channel in
            channel.eventLoop.makeSucceededVoidFuture()
        },
        SocketMasterService(SocketDefinition(port: 0), bootstrap: bootstrap) { connection in
            try await connection.executeThenClose { inbound, _ in for try await _ in inbound {} }
        },
    ]
    for service in services {
        let before = proxy.registrations
        let running = Task { try await service.run() }
        while proxy.registrations == before { try await Task.sleep(for: .milliseconds(2)) }
        // It has been answered; whether that has arrived is not known.
        running.cancel()
        do { try await running.value } catch is CancellationError {}
    }
    try await proxy.channel.close()
}

private actor Counter {
    private var count = 0

    /// What a function is given may touch its actor's state.
    func publish(_ bootstrap: SocketMasterBootstrap) async throws -> Int {
        try await bootstrap.withListener(SocketDefinition(port: 0)) { _ in count += 1 }
        return count
    }
}

@Test func `a function that is given to a listener may touch the state of its actor`() async throws {
    let proxy = try await WillingProxy()
    #expect(try await Counter().publish(try proxy.bootstrap) == 1)
    try await proxy.channel.close()
}

@Test func `a listener that is let go closes, whatever its connections are`() async throws {
    let proxy = try await WillingProxy()
    let bootstrap = try proxy.bootstrap
    let bytes = try await bootstrap.listen(SocketDefinition(port: 0)).channel
    let pipelines = try await bootstrap.listen(SocketDefinition(port: 0)) { channel in
        channel.eventLoop.makeSucceededVoidFuture()
    }.channel
    try await bytes.closeFuture.get()
    try await pipelines.closeFuture.get()
    try await proxy.channel.close()
}

@Test func `who stops to iterate closes the listener`() async throws {
    let proxy = try await WillingProxy()
    let listener = try await proxy.bootstrap.listen(SocketDefinition(port: 0))
    let iterating = Task { for await _ in listener {} }
    iterating.cancel()
    await iterating.value
    try await listener.channel.closeFuture.get()
    try await proxy.channel.close()
}

@Test func `an error that the system has caused brings its cause`() async throws {
    // A path: a port that was free may be somebody else's by now.
    let bootstrap = SocketMasterBootstrap(proxy: try ControlAddress(parsing: "unix:/nowhere/control"))
    do {
        _ = try await bootstrap.listen(SocketDefinition(port: 80))
        Issue.record("nobody was there")
    } catch let error as SocketMasterError {
        #expect(error.code == .unreachable && "\(error.code)" == "unreachable" && error.cause is IOError)
        #expect(error.message == error.description)
    }
}
