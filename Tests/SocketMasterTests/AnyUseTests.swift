import NIOCore
import NIOEmbedded
import Testing
import TestSupport
import Yamux

@testable import SocketMaster

/// Whatever the proxy says and whatever an application does with its connections, in any order: the rules that are
/// asserted hold, because none of them is about what somebody else may do.
@Test(arguments: [false, true])
func `no use of connections, and nothing that is said on them, makes the session trap`(bringsAddress: Bool) throws {
    let seed = UInt64.random(in: 0 ... .max)
    var random = SeededGenerator(seed: seed)
    for _ in 0..<80 {
        var settings = SessionSettings()
        settings.isHTTP = Bool.random(using: &random)
        settings.bringsClientAddress = bringsAddress
        settings.backlog = Int.random(in: 1...8, using: &random)
        settings.configuration.maximumStreams = Int.random(in: 1...20, using: &random)
        var model = try AnyUse(settings)
        for _ in 0..<60 where model.fixture.events.count < 3 { model.step(&random) }
        model.end()
    }
    #expect(Bool(true), "seed \(seed)")
}

/// Made once: what is said does not matter here.
private let said = pattern(40_000)
private let written = ByteBuffer(bytes: said)

private let header: [UInt8] =
    [0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A] + Array("QUIT\n".utf8)
    + [0x21, 0x11, 0, 12, 192, 0, 2, 1, 198, 51, 100, 2, 0x30, 0x39, 0x01, 0xBB]

/// An application that takes its time, and then does anything.
private final class AnyAcceptor: StreamAcceptor {
    var channel: (any Channel)? { nil }
    var isWilling = true
    var initializing: [StreamChannel] = []
    var streams: [StreamChannel] = []

    func initialize(_ stream: StreamChannel, of session: SessionHandler) {
        try? stream.pipeline.syncOperations.addHandler(AnyHandler())
        initializing.append(stream)
        streams.append(stream)
    }

    func passOn(from session: SessionHandler) {}
}

/// Acts on what it hears as well, from within.
private final class AnyHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private var count = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        count += 1
        if count.isMultiple(of: 2) { context.read() }
        if count.isMultiple(of: 7) { context.close(mode: .output, promise: nil) }
        context.writeAndFlush(data, promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if count.isMultiple(of: 3) { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

private struct AnyUse {
    let fixture: Fixture
    let acceptor = AnyAcceptor()
    /// What has been cut off, and comes next.
    private var rest: [UInt8] = []

    init(_ settings: SessionSettings) throws { fixture = try Fixture(settings, acceptor: acceptor) }

    mutating func step(_ random: inout SeededGenerator) {
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            if let stream = acceptor.streams.randomElement(using: &random) { use(stream, &random) }
        }
        switch Int.random(in: 0..<40, using: &random) {
        case 0: fixture.handler.drain(timeout: .seconds(Int64.random(in: 0...3, using: &random)))
        case 1: _ = fixture.handler.withdraw()
        case 2: if fixture.handler.state.goAwaySent { fixture.handler.giveBack() }
        case 3, 4:
            fixture.channel.isWritable = Bool.random(using: &random)
            fixture.channel.pipeline.fireChannelWritabilityChanged()
        case 5, 6: acceptor.isWilling.toggle()
        case 7 where Int.random(in: 0..<5, using: &random) == 0: fixture.channel.close(promise: nil)
        case 8..<14: initializeOne(&random)
        default: fixture.deliver(frames(&random))
        }
        if Bool.random(using: &random) { fixture.handler.acceptQueued() }
        fixture.loop.advanceTime(by: .milliseconds(Int64.random(in: 0...300, using: &random)))
        while (try? fixture.channel.readOutbound(as: ByteBuffer.self)) != nil {}
    }

    private func initializeOne(_ random: inout SeededGenerator) {
        guard !acceptor.initializing.isEmpty else { return }
        let stream = acceptor.initializing.remove(at: Int.random(in: acceptor.initializing.indices, using: &random))
        if Int.random(in: 0..<5, using: &random) == 0 {
            fixture.handler.initializationFailed(stream, ChannelError.eof)
        } else {
            _ = fixture.handler.untaken.remove()
            fixture.handler.initialized(stream)
        }
    }

    private func use(_ stream: StreamChannel, _ random: inout SeededGenerator) {
        let promise = stream.eventLoop.makePromise(of: Void.self)
        // Whoever is told may go on at once.
        let next = Int.random(in: 0..<4, using: &random)
        promise.futureResult.assumeIsolated().whenComplete { _ in
            switch next {
            case 0: stream.close(promise: nil)
            case 1: stream.writeAndFlush(ByteBuffer(bytes: [1]), promise: nil)
            case 2: _ = try? stream.syncOptions?.setOption(.autoRead, value: true)
            default: _ = try? stream.syncOptions?.setOption(.writeBufferWaterMark, value: .init(low: 1, high: 2))
            }
        }
        let bytes = written.getSlice(at: 0, length: Int.random(in: 0...300, using: &random))!
        switch Int.random(in: 0..<24, using: &random) {
        case 0: stream.close(promise: promise)
        case 1: stream.close(mode: .output, promise: promise)
        case 2: stream.close(mode: .input, promise: promise)
        case 3: stream.triggerUserOutboundEvent(ResetConnection(), promise: promise)
        case 4: stream.setOption(.allowRemoteHalfClosure, value: Bool.random(using: &random)).cascade(to: promise)
        case 5: stream.setOption(.autoRead, value: Bool.random(using: &random)).cascade(to: promise)
        case 6..<10: stream.write(bytes, promise: promise)
        case 10..<12: stream.writeAndFlush(written, promise: promise)
        case 12..<16: stream.writeAndFlush(bytes, promise: promise)
        default:
            stream.read()
            promise.succeed()
        }
    }

    /// Frames that are right for the most part go further than noise. They come cut anywhere.
    private mutating func frames(_ random: inout SeededGenerator) -> [UInt8] {
        var bytes = rest
        var opened: Set<UInt32> = []
        for _ in 0..<Int.random(in: 1...5, using: &random) {
            let id = UInt32(1 + 2 * Int.random(in: 0..<12, using: &random))
            let stream = fixture.handler.streams[id]
            let isNew = stream == nil && opened.insert(id).inserted
            bytes += frame(id, isNew: isNew, window: stream?.state.receiveWindow ?? 10_000, &random)
        }
        if Int.random(in: 0..<200, using: &random) == 0 { bytes += FrameHeader.goAway(.normal).bytes }
        if Int.random(in: 0..<500, using: &random) == 0 { bytes += pattern(12) }
        let count = Bool.random(using: &random) ? bytes.count : Int.random(in: 0...bytes.count, using: &random)
        rest = Array(bytes.dropFirst(count))
        return Array(bytes.prefix(count))
    }

    private func frame(_ id: UInt32, isNew: Bool, window: UInt32, _ random: inout SeededGenerator) -> [UInt8] {
        var flags = UInt16([0, 0, 0, 0, 0, 4, 4, 8].randomElement(using: &random)!)
        if isNew { flags |= 1 }
        switch Int.random(in: 0..<8, using: &random) {
        case 0: return FrameHeader.ping(id).bytes
        case 1, 2:
            let length = UInt32.random(in: 0...50_000, using: &random)
            return FrameHeader(type: .windowUpdate, flags: .init(rawValue: flags), streamID: id, length: length).bytes
        default:
            let count = Int([1, 300, 5_000, 20_000].randomElement(using: &random)!)
            let payload = (isNew ? header : []) + said.prefix(min(count, Int(window) / 5))
            let length = UInt32(payload.count)
            return FrameHeader(type: .data, flags: .init(rawValue: flags), streamID: id, length: length).bytes + payload
        }
    }

    /// All that were left are told: a promise that is forgotten ends the process.
    func end() {
        fixture.channel.close(promise: nil)
        for stream in acceptor.initializing { fixture.handler.initialized(stream) }
        fixture.loop.advanceTime(by: .minutes(2))
        fixture.handler.checkInvariants()
        for stream in acceptor.streams {
            stream.checkInvariants()
            // Who does not read does not learn of an end.
            stream.close(promise: nil)
            #expect(stream.closeFuture.isFulfilled)
        }
    }
}
