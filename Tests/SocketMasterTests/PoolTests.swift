import Logging
import NIOCore
import NIOEmbedded
import Registration
import Testing
import TestSupport

@testable import SocketMaster

/// A pool in virtual time. Whether and how the proxy answers its registrations is the test's decision.
final class PoolFixture: @unchecked Sendable {
    /// A session that the proxy has accepted.
    final class Session {
        let channel: EmbeddedChannel
        var proxy = TestProxy()
        let acceptor = TestAcceptor()

        init(_ loop: EmbeddedEventLoop, _ onEvent: @escaping @Sendable (SessionEvent) -> Void) throws {
            let handler = SessionHandler(
                settings: SessionSettings(), acceptor: acceptor, log: Logger(label: "test"), onEvent: onEvent)
            channel = EmbeddedChannel(handler: handler, loop: loop)
            reference = SessionReference(handler, channel: channel)
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 9999)).wait()
        }

        let reference: SessionReference
        var isOpen: Bool { channel.isActive }
    }

    let loop = EmbeddedEventLoop()
    private(set) var pool: SessionPool!
    /// What the proxy says to the next registration; nil: nothing yet.
    var answer: Result<[String: String], any Error>? = .success([:])
    /// How it fails who asks with attributes, if it knows none.
    var complaint: RegistrationFailure?
    private(set) var attempts: [(at: NIODeadline, port: Int, hasAttributes: Bool)] = []
    private(set) var sessions: [Session] = []
    private(set) var attributes: [[String: String]] = []
    private(set) var live = 0
    private(set) var outcome: Result<Void, any Error>?
    private(set) var isQuiet = false
    private(set) var hasEnded = false

    init(port: Int = 80, metrics: ServiceMetrics? = nil, _ change: (inout SocketMasterConfiguration) -> Void = { _ in })
    {
        var configuration = SocketMasterConfiguration()
        change(&configuration)
        let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        var registrar = Registrar(
            address: .standard, definition: SocketDefinition(port: port), configuration: configuration, log: log)
        registrar.metrics = metrics
        pool = SessionPool(eventLoop: loop, group: loop, registrar: registrar, log: log) {
            [unowned self] _, port, hasAttributes, _, onEvent in
            register(port, hasAttributes, onEvent)
        }
    }

    deinit {
        for session in sessions { _ = try? session.channel.finish(acceptAlreadyClosed: true) }
    }

    private func register(
        _ port: Int, _ hasAttributes: Bool, _ onEvent: @escaping @Sendable (SessionEvent) -> Void
    ) -> Registrar.Attempt {
        attempts.append((loop.now, port, hasAttributes))
        let promise = loop.makePromise(of: AcceptedRegistration.self)
        let work = { [unowned self] in
            if hasAttributes, let complaint { return promise.fail(complaint) }
            switch answer {
            case .success(let attributes):
                let session = try Session(loop, onEvent)
                sessions.append(session)
                promise.succeed(AcceptedRegistration(attributes: attributes, session: session.reference))
            case .failure(let error): promise.fail(error)
            case nil: break
            }
        }
        loop.execute { try! work() }
        return Registrar.Attempt(result: promise.futureResult) { promise.fail(RegistrationFailure.closed()) }
    }

    func start() {
        pool.start(
            SessionPool.Hooks(
                makeAcceptor: { preconditionFailure("the test makes its sessions itself") },
                added: { _ in self.live += 1 }, removed: { _ in self.live -= 1 },
                registered: { self.attributes.append($0) })
        ).assumeIsolated().whenComplete { self.outcome = $0 }
        settle()
    }

    func shutDown() {
        let (quiet, ended) = (loop.makePromise(of: Void.self), loop.makePromise(of: Void.self))
        quiet.futureResult.assumeIsolated().whenComplete { _ in self.isQuiet = true }
        ended.futureResult.assumeIsolated().whenComplete { _ in self.hasEnded = true }
        pool.shutDown(quiet: quiet, ended: ended)
        settle()
    }

    /// Whether the pool has done it, in the end.
    func setWithdrawn(_ isWithdrawn: Bool) -> Bool {
        let promise = loop.makePromise(of: Void.self)
        pool.setWithdrawn(isWithdrawn, promise: promise)
        settle()
        return promise.futureResult.isFulfilled
    }

    /// Lets everybody act: the pool, its sessions and the proxy's side of them.
    func settle() {
        var isActive = true
        while isActive {
            isActive = false
            loop.run()
            for session in sessions {
                while let bytes = try? session.channel.readOutbound(as: ByteBuffer.self) {
                    isActive = true
                    session.proxy.receive(bytes.bytes)
                }
                let answers = session.proxy.takeAnswers()
                guard !answers.isEmpty else { continue }
                isActive = true
                _ = try? session.channel.writeInbound(ByteBuffer(bytes: answers))
            }
        }
    }

    /// In steps, so that the proxy's answers come in time.
    func advance(by time: TimeAmount) {
        var left = time
        repeat {
            let step = min(left, .seconds(1))
            loop.advanceTime(by: step)
            settle()
            left = left - step
        } while left > .zero
    }

    /// The proxy ends a session.
    func lose(_ index: Int) {
        sessions[index].channel.close(promise: nil)
        settle()
    }

    func receive(_ bytes: [UInt8], on index: Int) throws {
        try sessions[index].channel.writeInbound(ByteBuffer(bytes: bytes))
        settle()
    }

    var open: [Int] { sessions.indices.filter { sessions[$0].isOpen } }
    /// How long each attempt was behind the one before it, in milliseconds.
    var pauses: [Int64] { zip(attempts, attempts.dropFirst()).map { ($1.at - $0.at).nanoseconds / 1_000_000 } }

    var error: SocketMasterError? {
        guard case .failure(let error) = outcome else { return nil }
        return error as? SocketMasterError
    }
}

private let goAway: [UInt8] = [0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
private let twoReactors = ["port": "80", "reactors": "2"]

@Test func `there is a session for each reactor of the proxy, or as many as are asked for`() {
    for (wanted, reactors, expected) in [(nil, "4", 4), (2, "4", 2), (3, "1", 3), (nil, "1000", 256), (nil, "-1", 1)] {
        let fixture = PoolFixture { $0.sessions = wanted }
        fixture.answer = .success(["reactors": reactors])
        fixture.start()
        #expect(fixture.open.count == expected && fixture.live == expected)
        #expect(fixture.attributes.allSatisfy { $0["reactors"] == reactors })
        #expect(throws: Never.self) { try fixture.outcome?.get() }
    }
}

@Test func `a proxy that knows no attributes is asked without them, and the next one with them again`() {
    for complaint in [RegistrationFailure.attributesUnknown, .closed()] {
        let fixture = PoolFixture()
        fixture.complaint = complaint
        fixture.start()
        #expect(fixture.attempts.map(\.hasAttributes) == [true, false] && fixture.open == [0])
        fixture.complaint = nil
        fixture.answer = .success(twoReactors)
        fixture.lose(0)
        fixture.advance(by: .seconds(1))
        #expect(fixture.attempts.map(\.hasAttributes) == [true, false, true, true] && fixture.open == [1, 2])

        // Neither with them nor without: then it is the proxy.
        let other = PoolFixture()
        other.answer = .failure(complaint)
        other.start()
        #expect(other.attempts.map(\.hasAttributes) == [true, false] && other.error != nil)
    }
}

@Test func `a service that has to know its clients does not do without attributes`() {
    let fixture = PoolFixture { $0.wantsClientAddress = true }
    fixture.answer = .failure(RegistrationFailure.attributesUnknown)
    fixture.start()
    #expect(fixture.attempts.count == 1 && fixture.error != nil)
}

@Test func `a refusal of the first registration is thrown, and nothing is tried again`() {
    for waits in [false, true] {
        let fixture = PoolFixture { $0.waitsForProxy = waits }
        fixture.answer = .failure(RegistrationFailure.refused("No."))
        fixture.start()
        fixture.advance(by: .minutes(1))
        #expect(fixture.attempts.count == 1)
        #expect(fixture.error?.code == .refused && fixture.error?.message.hasSuffix(": No.") == true)
    }
}

@Test func `a proxy that is not there yet is waited for if that is wanted`() {
    let impatient = PoolFixture()
    impatient.answer = .failure(RegistrationFailure.broken("refused"))
    impatient.start()
    #expect(impatient.error != nil)

    let patient = PoolFixture { $0.waitsForProxy = true }
    patient.answer = .failure(RegistrationFailure.broken("refused"))
    patient.start()
    patient.advance(by: .seconds(10))
    #expect(patient.outcome == nil && patient.attempts.count > 10)
    patient.answer = .success(twoReactors)
    patient.advance(by: .seconds(1))
    #expect(patient.open.count == 2 && patient.error == nil && patient.outcome != nil)
}

@Test func `a session that has ended is registered anew, in growing pauses`() {
    let fixture = PoolFixture()
    fixture.start()
    fixture.advance(by: .minutes(1))
    fixture.answer = .failure(RegistrationFailure.broken("refused"))
    fixture.lose(0)
    #expect(fixture.live == 0)
    fixture.advance(by: .seconds(20))
    // Behind the first registration came its long life.
    let pauses = fixture.pauses.dropFirst()
    #expect(pauses.count > 15 && pauses.allSatisfy { $0 <= 1_000 } && pauses.suffix(5).allSatisfy { $0 >= 500 })
    fixture.answer = .success([:])
    fixture.advance(by: .seconds(1))
    #expect(fixture.live == 1)
}

@Test func `a session that the proxy drains goes on beside the one that takes its place at once`() throws {
    let fixture = PoolFixture()
    fixture.start()
    try fixture.receive(fixture.sessions[0].proxy.open([1]), on: 0)
    fixture.advance(by: .seconds(20))
    try fixture.receive(goAway, on: 0)
    fixture.advance(by: .zero)
    #expect(fixture.open == [0, 1] && fixture.live == 2)
    // Once more says nothing new.
    try fixture.receive(goAway, on: 0)
    fixture.lose(0)
    fixture.advance(by: .seconds(20))
    #expect(fixture.open == [1] && fixture.live == 1 && fixture.attempts.count == 2)
}

@Test func `a proxy that returns with fewer reactors gets fewer sessions`() {
    let fixture = PoolFixture()
    fixture.answer = .success(["reactors": "4"])
    fixture.start()
    #expect(fixture.live == 4)
    fixture.answer = .success(twoReactors)
    for index in 0..<4 { fixture.lose(index) }
    fixture.advance(by: .seconds(10))
    #expect(fixture.live == 2)
    // Those that came too early were drained: each said GoAway.
    #expect(fixture.sessions.dropFirst(4).filter { $0.proxy.goAway != nil }.count == fixture.sessions.count - 6)
}

@Test func `closing drains the sessions, and is complete when they have ended`() throws {
    let fixture = PoolFixture()
    fixture.answer = .success(twoReactors)
    fixture.start()
    try fixture.receive(fixture.sessions[0].proxy.open([1]), on: 0)
    fixture.shutDown()
    #expect(fixture.isQuiet && !fixture.hasEnded)
    #expect(fixture.sessions.allSatisfy { $0.proxy.goAway != nil })
    fixture.lose(0)
    fixture.lose(1)
    #expect(fixture.hasEnded && fixture.live == 0)
    fixture.advance(by: .minutes(1))
    #expect(fixture.attempts.count == 2)
}

@Test func `closing abandons a registration that is on its way`() {
    let fixture = PoolFixture()
    fixture.answer = nil
    fixture.start()
    fixture.shutDown()
    #expect(fixture.error?.code == .closed)
    #expect(fixture.isQuiet && fixture.hasEnded && fixture.live == 0)

    // The same where a session is open beside it.
    let other = PoolFixture()
    other.answer = .success(twoReactors)
    other.start()
    other.answer = nil
    other.lose(0)
    other.advance(by: .seconds(1))
    #expect(other.attempts.count == 3)
    other.shutDown()
    other.lose(1)
    #expect(other.hasEnded && other.live == 0)
}

@Test func `where any port will do all sessions are for the one that the proxy has chosen`() {
    let fixture = PoolFixture(port: 0)
    fixture.answer = .success(["port": "4711", "reactors": "2"])
    fixture.start()
    #expect(fixture.attempts.map(\.port) == [0, 4711])
    for index in 0..<2 { fixture.lose(index) }
    fixture.advance(by: .seconds(1))
    #expect(fixture.attempts.map(\.port) == [0, 4711, 4711, 4711] && fixture.live == 2)
    // Somebody else has taken it in the meantime.
    fixture.answer = .failure(RegistrationFailure.refused("port 4711 is taken"))
    for index in 2..<4 { fixture.lose(index) }
    fixture.answer = .success(["port": "4712", "reactors": "2"])
    fixture.complaint = .refused("port 4711 is taken")
    fixture.advance(by: .milliseconds(60))
    fixture.complaint = nil
    fixture.advance(by: .seconds(5))
    #expect(fixture.attempts.dropFirst(4).first?.port == 4711 && fixture.live == 2)
    #expect(fixture.attempts.suffix(2).map(\.port).contains(4712) && fixture.attempts.map(\.port).contains(0))
}

@Test func `a port that is none is not believed`() {
    for text in ["65536", "-5", "99999999999999999999", "", "http", "0"] {
        let fixture = PoolFixture(port: 0)
        fixture.answer = .success(["port": text, "reactors": "1"])
        fixture.start()
        #expect(fixture.live == 1)
    }
}

@Test func `closing between two attempts ends at once`() {
    let fixture = PoolFixture()
    fixture.start()
    fixture.answer = .failure(RegistrationFailure.broken("refused"))
    fixture.lose(0)
    fixture.shutDown()
    #expect(fixture.isQuiet && fixture.hasEnded)
    fixture.advance(by: .minutes(1))
    #expect(fixture.attempts.count == 1)
}

@Test func `a service that is withdrawn has no sessions until it is published again`() {
    let fixture = PoolFixture()
    fixture.answer = .success(twoReactors)
    fixture.start()
    #expect(fixture.open == [0, 1])
    #expect(fixture.setWithdrawn(true) && fixture.setWithdrawn(true))
    #expect(fixture.sessions.allSatisfy { $0.proxy.goAway == 0 })
    fixture.advance(by: .minutes(1))
    #expect(fixture.open.isEmpty && fixture.live == 0 && fixture.attempts.count == 2)
    #expect(fixture.setWithdrawn(false))
    fixture.advance(by: .seconds(1))
    #expect(fixture.open == [2, 3] && fixture.live == 2)
    fixture.shutDown()
    fixture.advance(by: .seconds(5))
    #expect(fixture.hasEnded)
}

@Test func `a withdrawal stops what was to be registered, and is the end of nothing`() {
    // A proxy that is away: no attempts meanwhile.
    let fixture = PoolFixture()
    fixture.answer = .success(twoReactors)
    fixture.start()
    fixture.answer = .failure(RegistrationFailure.broken("refused"))
    fixture.lose(0)
    fixture.lose(1)
    fixture.advance(by: .seconds(2))
    _ = fixture.setWithdrawn(true)
    let count = fixture.attempts.count
    fixture.advance(by: .minutes(1))
    #expect(fixture.attempts.count == count)
    _ = fixture.setWithdrawn(false)
    fixture.advance(by: .seconds(2))
    #expect(fixture.attempts.count > count)
    fixture.answer = .success(twoReactors)
    fixture.advance(by: .seconds(2))
    #expect(fixture.open == [2, 3])

    // One that does not answer: the attempt is given up.
    fixture.answer = nil
    fixture.lose(2)
    fixture.lose(3)
    fixture.advance(by: .seconds(2))
    _ = fixture.setWithdrawn(true)
    fixture.shutDown()
    #expect(fixture.hasEnded)
}

/// Whatever the proxy and the service do, in any order: no rule of the pool that is asserted breaks, and it ends.
@Test func `no order of losses, drains, withdrawals and answers makes a pool trap, or keeps it from its end`() throws {
    let seed = UInt64.random(in: 0 ... .max)
    var random = SeededGenerator(seed: seed)
    for _ in 0..<60 {
        let fixture = PoolFixture(port: Bool.random(using: &random) ? 0 : 80) { $0.waitsForProxy = true }
        fixture.change(&random)
        if Bool.random(using: &random) { _ = fixture.setWithdrawn(true) }
        fixture.start()
        for _ in 0..<40 { try fixture.step(&random) }
        fixture.shutDown()
        fixture.advance(by: .seconds(40))
        #expect(fixture.isQuiet && fixture.hasEnded && fixture.live == 0, "seed \(seed)")
    }
}

extension PoolFixture {
    /// What the proxy says from now on.
    fileprivate func change(_ random: inout SeededGenerator) {
        complaint = Int.random(in: 0..<5, using: &random) == 0 ? .attributesUnknown : nil
        switch Int.random(in: 0..<8, using: &random) {
        case 0: answer = nil
        case 1: answer = .failure(RegistrationFailure.broken("refused"))
        case 2: answer = .failure(RegistrationFailure.refused("taken"))
        default: answer = .success(["port": "80", "reactors": "\(Int.random(in: 0...6, using: &random))"])
        }
    }

    fileprivate func step(_ random: inout SeededGenerator) throws {
        let index = open.randomElement(using: &random)
        switch Int.random(in: 0..<10, using: &random) {
        case 0, 1: change(&random)
        case 2: if let index { lose(index) }
        case 3: if let index { try receive(goAway, on: index) }
        case 4: if let index { try receive(sessions[index].proxy.open([1]), on: index) }
        case 5: _ = setWithdrawn(Bool.random(using: &random))
        case 6: _ = setWithdrawn(false)
        default: advance(by: .milliseconds(Int64.random(in: 0...3_000, using: &random)))
        }
    }
}
