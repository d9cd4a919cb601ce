import HTTP1
import Memory
import Routing
import Testing
import Yamux

@testable import Exchanges
@testable import Proxy
@testable import Reactor

/// One client with its stream on one session, as they are in the middle of an exchange; a second client waits.
private struct World: ~Copyable {
    var stepped: SteppedWorker
    private(set) var client: Int32 = -1
    private(set) var stream: Int32 = -1
    private(set) var waiter: Int32 = -1
    /// A list that nothing knows of.
    var stray = IndexList()

    init() throws {
        stepped = try SteppedWorker()
        stepped.worker.beginTurn()
        stepped.worker.sessions[0] = Session(limits: stepped.worker.limits.session, firstStreamID: 1)
        stepped.worker.sessions[0].phase = .live
        stepped.worker.sessions[0].fd = 1_000
        stepped.worker.sessions[0].generation = 1
        stepped.worker.sessions[0].reading.way = .received
        stepped.worker.scheduleTick(0)
        client = Self.connect(&stepped.worker)
        _ = stepped.worker.meet(client, 0)
        stream = stepped.worker.exchanges[client].stream
        stepped.worker.exchanges[client].measure.subject = .request
        stepped.worker.exchanges[client].measure.slot = 2
        waiter = Self.connect(&stepped.worker)
        stepped.worker.beginPatience(waiter)
        stepped.worker.patience[waiter].waitedSince = 1
        stepped.worker.exchanges[waiter].countsAsWaiting = true
        stepped.worker.exchanges[waiter].wait = .session
        stepped.worker.exchanges[waiter].session = 0
        stepped.worker.connectionLinks.append(waiter, to: &stepped.worker.sessions[0].waiters.openers)
        stepped.worker.waiting.forSessions = 1
        stepped.worker.timers.schedule(waiter, at: stepped.worker.now + 1_000)
    }

    private static func connect(_ worker: inout Worker) -> Int32 {
        let record = Connection(Client(fd: 1_001, listener: 0, listenerGeneration: 1))
        let connection = worker.insert(record, Exchange(now: worker.now))
        worker.connections[connection].receive = .armed
        return connection
    }
}

/// What may go wrong with a world, and the rule that it breaks.
private enum Breakage: String, CaseIterable, Codable {
    case bufferKept, drainLeft, endedLeft, closedAndForgotten, freedInKernel, freeSessionWritten, endingSessionForgotten
    case nothingAwaited, relayUnnoticed, waitWithoutClock, sessionWithoutTick, strayStream
    case starvedAndArmed, starvedSessionAndArmed
    case progressToCome, skippedWithStream, finTooEarly, drainingUncounted, sparedBlocksUsed
    case streamNotInTable, unsentForgotten, unsentOfSessionForgotten, sentTwice
    case sealedInPlain, emptyPipeKept, pipedUncounted, pipesUncounted
    case frameOfNobody, frameForgotten, splicedWithoutStream, bulkAmongReady, readyElsewhere
    case sessionUnread, creditOfNobody, extraCreditUncounted
    case lateBeyondAll, keptInPart, keptUncounted
    case waitsElsewhere, doubtfulAmongOpeners, waitersUncounted, routeWaitersUncounted, inNoList
    case countedWithoutWait, waitsUncounted, moreBytesThanWait
    case takenBackWithoutBarrier, idleWithClient, lingersWithClient
    case streamOfOtherSession, payloadOfNobody, pacedUncounted, suspectsUncounted
    case closingUncounted, shakingUncounted, parkedBeyondAll, metTwice, replyOfNothing
    case servedUnmeasured, idleMeasured, slotOfNothing

    var rule: Int {
        switch self {
        case .bufferKept: 1
        case .starvedAndArmed, .starvedSessionAndArmed: 2
        case .drainLeft: 3
        case .endedLeft, .closedAndForgotten, .freedInKernel, .freeSessionWritten, .endingSessionForgotten: 4
        case .nothingAwaited, .relayUnnoticed, .waitWithoutClock, .sessionWithoutTick, .strayStream: 5
        case .progressToCome: 6
        case .skippedWithStream: 7
        case .finTooEarly: 8
        case .drainingUncounted: 9
        case .sparedBlocksUsed: 10
        case .streamNotInTable: 11
        case .unsentForgotten, .unsentOfSessionForgotten, .sentTwice: 12
        case .sealedInPlain: 13
        case .emptyPipeKept, .pipedUncounted, .pipesUncounted: 14
        case .frameOfNobody, .frameForgotten: 15
        case .splicedWithoutStream, .bulkAmongReady, .readyElsewhere: 16
        case .sessionUnread: 17
        case .creditOfNobody, .extraCreditUncounted: 18
        case .lateBeyondAll: 19
        case .keptInPart, .keptUncounted: 20
        case .waitsElsewhere, .doubtfulAmongOpeners, .waitersUncounted, .routeWaitersUncounted, .inNoList: 21
        case .countedWithoutWait, .waitsUncounted, .moreBytesThanWait: 22
        case .takenBackWithoutBarrier, .idleWithClient, .lingersWithClient: 23
        case .streamOfOtherSession, .payloadOfNobody: 24
        case .pacedUncounted, .suspectsUncounted: 25
        case .closingUncounted: 26
        case .shakingUncounted: 27
        case .parkedBeyondAll: 28
        case .metTwice: 29
        case .replyOfNothing: 30
        case .servedUnmeasured, .idleMeasured, .slotOfNothing: 31
        }
    }

    func happen(to world: inout World) {
        let (client, waiter, stream) = (world.client, world.waiter, world.stream)
        switch self {
        case .bufferKept:
            let token = world.stepped.worker.token(Operation.receive, connection: client)
            let completion = Completion(token: token, result: 5, flags: 1)
            world.stepped.worker.checkBuffer(of: completion, before: world.stepped.worker.buffersGivenBack)
        case .drainLeft: world.stepped.worker.drainsInTurn = true
        case .servedUnmeasured: world.stepped.worker.exchanges[client].measure = Measure()
        case .idleMeasured: world.stepped.worker.abort(client)
        case .slotOfNothing: world.stepped.worker.exchanges[waiter].measure.slot = 3
        case .starvedAndArmed: world.stepped.worker.queues.starvedConnections.append(client)
        case .starvedSessionAndArmed: world.stepped.worker.queues.starvedSessions.append(0)
        case .endedLeft:
            let record = Connection(Client(fd: -1, listener: 0, listenerGeneration: 1))
            let third = world.stepped.worker.insert(record, Exchange(now: 0))
            world.stepped.worker.connectionLinks.append(third, to: &world.stepped.worker.queues.ended)
        case .closedAndForgotten, .freedInKernel: closeWrongly(&world)
        case .freeSessionWritten: world.stepped.worker.sessions[1].egress.written = 9
        case .endingSessionForgotten: world.stepped.worker.sessions[1].phase = .ending
        case .nothingAwaited: world.stepped.worker.connections[client].receive = .idle
        case .relayUnnoticed:
            world.stepped.worker.connections[client].client.mode = .relay
            world.stepped.worker.connections[client].receive = .idle
            world.stepped.worker.timers.schedule(client, at: world.stepped.worker.now + 1)
        case .waitWithoutClock: world.stepped.worker.timers.cancel(waiter)
        case .sessionWithoutTick:
            world.stepped.worker.timers.cancel(Int32(world.stepped.worker.limits.connections))
        case .strayStream:
            world.stepped.worker.exchanges[client].stream = -1
            world.stepped.worker.noteEnded(client)
            world.stepped.worker.streams[stream].connection = -1
        case .progressToCome: world.stepped.worker.exchanges[client].state.lastProgress = .max
        case .skippedWithStream: world.stepped.worker.exchanges[client].state.request = .skipped
        case .finTooEarly: world.stepped.worker.sendFin(stream)
        case .sparedBlocksUsed: useSparedBlocks(&world)
        case .streamNotInTable:
            let id = world.stepped.worker.streams[stream].state.id
            world.stepped.worker.table.remove(session: 0, id: id, slot: stream)
        default: breakTheRest(of: &world)
        }
    }

    private func closeWrongly(_ world: inout World) {
        let client = world.client
        world.stepped.worker.abort(client)
        world.stepped.worker.connections[client].beginClose(reset: false)
        world.stepped.worker.connections[client].receive = .idle
        guard case .freedInKernel = self else { return }
        world.stepped.worker.connections[client].isSending = true
        world.stepped.worker.forget(client)
        world.stepped.worker.freeEnded()
    }

    private func useSparedBlocks(_ world: inout World) {
        var chain = Chain()
        let bytes = [UInt8](repeating: 1, count: BlockPool.blockBytes)
        unsafe bytes.withUnsafeBytes { block in
            while unsafe world.stepped.worker.pool.append(block, to: &chain) {}
        }
        world.stepped.worker.checkSparedBlocks()
    }

    private func breakTheRest(of world: inout World) {
        let (client, waiter, stream) = (world.client, world.waiter, world.stream)
        switch self {
        case .unsentForgotten: append(to: &world.stepped.worker.connections[client].outgoing, world)
        case .unsentOfSessionForgotten:
            world.stepped.worker.sessions[0].egress.isAnnounced = true
            append(to: &world.stepped.worker.sessions[0].egress.frames, world)
        case .sentTwice:
            world.stepped.worker.sessions[0].egress.isSending = true
            world.stepped.worker.sendFlight(0)
        case .sealedInPlain:
            append(to: &world.stepped.worker.connections[client].sealed, world)
            world.stepped.worker.queues.dirtyConnections.append(client)
        case .emptyPipeKept: world.stepped.worker.connections[client].pipe = world.stepped.worker.pipes.take()
        case .pipedUncounted:
            world.stepped.worker.connections[client].pipedBytes = 5
            world.stepped.worker.queues.dirtyConnections.append(client)
        case .pipesUncounted: _ = world.stepped.worker.pipes.take()
        case .frameOfNobody: world.stepped.worker.sessions[0].egress.frameOwner = client
        case .frameForgotten: world.stepped.worker.sessions[0].egress.framePipe = world.stepped.worker.pipes.take()
        case .splicedWithoutStream:
            world.stepped.worker.abort(client)
            world.stepped.worker.connections[client].isQueuedToSplice = true
        case .bulkAmongReady:
            world.stepped.worker.connections[client].isQueuedToSplice = true
            world.stepped.worker.connectionLinks.append(client, to: &world.stepped.worker.sessions[0].egress.ready)
        case .readyElsewhere:
            world.stepped.worker.abort(client)
            world.stepped.worker.noteEnded(client)
            world.stepped.worker.connectionLinks.append(client, to: &world.stepped.worker.sessions[0].egress.ready)
        case .sessionUnread: world.stepped.worker.sessions[0].reading.way = .idle
        case .creditOfNobody:
            world.stepped.worker.abort(client)
            world.stepped.worker.exchanges[client].owedCredit = 1
        case .extraCreditUncounted: world.stepped.worker.memory.extraCredit += 1
        case .lateBeyondAll: world.stepped.worker.sessions[0].egress.lateBytes = 1
        case .keptInPart: append(to: &world.stepped.worker.exchanges[client].kept, world)
        case .keptUncounted: world.stepped.worker.memory.keptBlocks += 1
        case .waitsElsewhere: world.stepped.worker.exchanges[waiter].session = 1
        case .doubtfulAmongOpeners: world.stepped.worker.exchanges[waiter].state.past.attempts.loseUnproven()
        case .waitersUncounted: world.stepped.worker.waiting.forSessions = 0
        case .routeWaitersUncounted: world.stepped.worker.exchanges[waiter].wait = .route
        case .inNoList: world.stepped.worker.connectionLinks.append(client, to: &world.stray)
        case .countedWithoutWait: world.stepped.worker.exchanges[client].countsAsWaiting = true
        case .waitsUncounted: world.stepped.worker.exchanges[waiter].countsAsWaiting = false
        case .moreBytesThanWait: world.stepped.worker.patience[waiter].waitingBytes = 1
        case .takenBackWithoutBarrier: world.stepped.worker.streams[stream].use = .takenBack
        case .idleWithClient:
            world.stepped.worker.unusedLinks.append(stream, to: &world.stepped.worker.sessions[0].streams.idle)
        case .lingersWithClient:
            world.stepped.worker.unusedLinks.append(stream, to: &world.stepped.worker.sessions[0].streams.lingering)
        case .streamOfOtherSession:
            world.stepped.worker.streamLinks.remove(stream, from: &world.stepped.worker.sessions[0].streams.all)
        case .payloadOfNobody: world.stepped.worker.sessions[0].reading.stream = stream + 1
        case .pacedUncounted: world.stepped.worker.streams[stream].isPaced = true
        case .suspectsUncounted: world.stepped.worker.sessions[0].standing.suspects = 1
        case .drainingUncounted: world.stepped.worker.sessions[0].draining.since = 1
        case .closingUncounted: world.stepped.worker.memory.closingBytes = 1
        case .shakingUncounted: world.stepped.worker.connectionLinks.append(client, to: &world.stepped.worker.shaking)
        case .replyOfNothing:
            world.stepped.worker.exchanges[client].state.beginReply(.untilClose, length: 0, keepsStream: false)
        case .metTwice: _ = world.stepped.worker.meet(client, 0)
        case .parkedBeyondAll:
            for number in 0...Int32(ParkedClients.capacity) {
                world.stepped.worker.accepting.parked.append(ParkedClient(fd: number, listener: 0, generation: 1))
            }
        default: break
        }
    }

    private func append(to chain: inout Chain, _ world: borrowing World) {
        let bytes: [UInt8] = [1, 2, 3]
        unsafe bytes.withUnsafeBytes { _ = unsafe world.stepped.worker.pool.append($0, to: &chain) }
    }
}

@Suite(.serialized)
struct InvariantTests {
    @Test func aWorldInWhichNothingIsBrokenPasses() throws {
        let world = try World()
        world.stepped.worker.checkInvariants()
    }

    @Test func everyRuleIsBroken() {
        #expect(Set(Breakage.allCases.map(\.rule)) == Set(1...31))
    }

    @Test(arguments: Breakage.allCases)
    private func whatBreaksARuleTrapsAndNamesIt(_ breakage: Breakage) async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { [breakage] in
            var world = try World()
            breakage.happen(to: &world)
            world.stepped.worker.checkInvariants()
        }
        let words = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(words.contains("rule \(breakage.rule):"), "\(words.suffix(2_000))")
    }
}
