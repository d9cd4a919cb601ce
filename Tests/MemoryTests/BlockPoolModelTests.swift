import Memory
import Testing
import TestSupport

/// Several chains of one pool beside the arrays that they must be equal to.
private struct Chains: ~Copyable {
    let pool: BlockPool
    let seed: UInt64
    var random: SeededGenerator
    var chains = [Chain](repeating: Chain(), count: 5)
    var model = [[UInt8]](repeating: [], count: 5)

    init(seed: UInt64) {
        self.seed = seed
        random = SeededGenerator(seed: seed)
        pool = BlockPool(capacity: Int.random(in: 1...30, using: &random))
    }

    mutating func step() {
        let place = Int.random(in: 0..<chains.count, using: &random)
        switch Int.random(in: 0..<10, using: &random) {
        case 0...3: append(place)
        case 4, 5: reserve(place)
        case 6, 7: drop(place)
        case 8: join(place)
        default:
            pool.clear(&chains[place])
            model[place] = []
        }
        check(place)
    }

    private mutating func append(_ place: Int) {
        let bytes = randomBytes(atMost: 13)
        let hasRoom = pool.hasRoom(for: bytes.count)
        let isDone = pool.append(bytes, to: &chains[place])
        #expect(isDone == hasRoom || bytes.isEmpty, "seed \(seed)")
        if isDone { model[place] += bytes }
    }

    /// What was reserved is filled, in part or not at all.
    private mutating func reserve(_ place: Int) {
        let bytes = randomBytes(atMost: 12)
        let inUse = pool.inUse
        guard let target = unsafe pool.reserve(bytes.count, in: &chains[place]) else {
            #expect(inUse == pool.capacity, "seed \(seed)")
            return
        }
        let count = Bool.random(using: &random) ? bytes.count : Int.random(in: 0...bytes.count, using: &random)
        unsafe target.copyMemory(from: bytes, byteCount: count)
        pool.commit(count, to: &chains[place])
        model[place] += bytes[..<count]
    }

    private mutating func drop(_ place: Int) {
        let count = Int.random(in: 0...model[place].count, using: &random)
        pool.drop(count, from: &chains[place])
        model[place].removeFirst(count)
    }

    private mutating func join(_ place: Int) {
        let other = (place + 1) % chains.count
        var second = chains[other]
        pool.join(&second, to: &chains[place])
        chains[other] = second
        model[place] += model[other]
        model[other] = []
        check(other)
    }

    private func check(_ place: Int) {
        let chain = chains[place]
        #expect(chain.count == model[place].count && chain.isEmpty == model[place].isEmpty, "seed \(seed)")
        #expect(pool.contents(of: chain) == model[place], "seed \(seed)")
        #expect((pool.frontCount(of: chain) == 0) == model[place].isEmpty, "seed \(seed)")
        #expect((chain.head < 0) == (chain.tail < 0), "seed \(seed)")
        let held = chains.reduce(0) { $0 + pool.blocks(of: $1) }
        let inUse = pool.inUse
        #expect(held == inUse, "seed \(seed)")
    }

    private mutating func randomBytes(atMost bits: Int) -> [UInt8] {
        let count = min(Int(random.magnitude(bits: bits)), bits == 12 ? BlockPool.blockBytes : .max)
        let first = UInt8.random(in: 0...255, using: &random)
        return (0..<count).map { UInt8(truncatingIfNeeded: Int(first) + $0 * 31 + $0 >> 8) }
    }
}

@Test func `chains behave like arrays and no block is lost, whatever is done to them`() {
    for seed in 1...(30 * effort) {
        var chains = Chains(seed: seed)
        for _ in 0..<400 { chains.step() }
        for place in chains.chains.indices { chains.pool.clear(&chains.chains[place]) }
        let inUse = chains.pool.inUse
        #expect(inUse == 0, "seed \(seed)")
    }
}
