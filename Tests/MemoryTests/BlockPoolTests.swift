import Memory
import Testing

private let block = BlockPool.blockBytes

@Test func `bytes come out of a chain as they went in`() {
    let pool = BlockPool(capacity: 8)
    var chain = Chain()
    #expect(chain.isEmpty)
    let bytes = pattern(3 * block + 17)
    #expect(pool.append(bytes, to: &chain) == true)
    #expect(chain.count == bytes.count && pool.contents(of: chain) == bytes)
    let inUse = pool.inUse
    #expect(inUse == 4)
    pool.clear(&chain)
    #expect(chain.isEmpty && chain.head == -1 && chain.tail == -1)
    let left = pool.inUse
    #expect(left == 0)
}

@Test func `small pieces share a block`() {
    let pool = BlockPool(capacity: 8)
    var chain = Chain()
    for piece in 0..<block { #expect(pool.append([UInt8(piece & 255)], to: &chain) == true) }
    let inUse = pool.inUse
    #expect(inUse == 1)
    #expect(pool.contents(of: chain) == (0..<block).map { UInt8($0 & 255) })
    pool.clear(&chain)
}

@Test func `appending nothing takes no block, even from a full pool`() {
    let pool = BlockPool(capacity: 1)
    var chain = Chain()
    #expect(pool.append([], to: &chain) == true)
    #expect(chain.head == -1)
    var other = Chain()
    let isReserved = unsafe pool.reserve(1, in: &other) != nil
    #expect(isReserved)
    #expect(pool.append([], to: &chain) == true)
    pool.clear(&other)
}

@Test func `a pool without room refuses and does nothing`() {
    let pool = BlockPool(capacity: 3)
    var chain = Chain()
    #expect(pool.append(pattern(block + 5), to: &chain) == true)
    #expect(!pool.hasRoom(for: block) && pool.hasRoom(for: 0))
    #expect(pool.append(pattern(block), to: &chain) == false)
    #expect(pool.contents(of: chain) == pattern(block + 5))
    let inUse = pool.inUse
    #expect(inUse == 2)
    pool.clear(&chain)
    #expect(pool.hasRoom(for: 2 * block) == true)
}

@Test func `bytes dropped from the front free the blocks that they were in`() {
    let pool = BlockPool(capacity: 8)
    var chain = Chain()
    let bytes = pattern(3 * block)
    #expect(pool.append(bytes, to: &chain) == true)
    pool.drop(block - 1, from: &chain)
    #expect(pool.frontCount(of: chain) == 1)
    let before = pool.inUse
    pool.drop(1, from: &chain)
    let after = pool.inUse
    #expect(before == 3 && after == 2)
    pool.drop(block + 3, from: &chain)
    #expect(pool.contents(of: chain) == Array(bytes[(2 * block + 3)...]))
    pool.drop(0, from: &chain)
    #expect(chain.count == block - 3)
    pool.drop(chain.count, from: &chain)
    let left = pool.inUse
    #expect(left == 0 && chain.head == -1)
}

@Test func `a reserved place lies together and counts when it is committed`() throws {
    let pool = BlockPool(capacity: 4)
    var chain = Chain()
    #expect(pool.append(pattern(block - 10), to: &chain) == true)
    let short = unsafe try #require(unsafe pool.reserve(10, in: &chain))
    let sameBlocks = pool.inUse
    let long = unsafe try #require(unsafe pool.reserve(11, in: &chain))
    let moreBlocks = pool.inUse
    #expect(sameBlocks == 1 && moreBlocks == 2)
    #expect(unsafe short != long && chain.count == block - 10)
    unsafe long.copyMemory(from: pattern(11), byteCount: 11)
    pool.commit(11, to: &chain)
    #expect(pool.contents(of: chain) == pattern(block - 10) + pattern(11))
    pool.clear(&chain)
}

@Test func `an exhausted pool reserves nothing more, but what the last block holds`() {
    let pool = BlockPool(capacity: 1)
    var chain = Chain()
    var other = Chain()
    let whole = unsafe pool.reserve(block, in: &chain) != nil
    #expect(whole)
    pool.commit(block - 4, to: &chain)
    let fits = unsafe pool.reserve(4, in: &chain) != nil
    let isTooLarge = unsafe pool.reserve(5, in: &chain) == nil
    let isRefused = unsafe pool.reserve(1, in: &other) == nil
    #expect(fits && isTooLarge && isRefused && other.head == -1)
    pool.clear(&chain)
}

/// Frames have to find a block whatever passes through.
@Test func `bytes leave the blocks that they are told to spare`() {
    let pool = BlockPool(capacity: 3)
    var bulk = Chain()
    let first = unsafe pattern(block).withUnsafeBytes { unsafe pool.append($0, to: &bulk, sparing: 1) }
    let second = unsafe pattern(1).withUnsafeBytes { unsafe pool.append($0, to: &bulk, sparing: 1) }
    #expect(first && !second && bulk.count == block)
    #expect(!pool.hasRoom(for: 1, sparing: 1) && pool.hasRoom(for: 1))
    var frame = Chain()
    let isReserved = unsafe pool.reserve(12, in: &frame) != nil
    #expect(isReserved)
    pool.clear(&bulk)
    pool.clear(&frame)
}

#if DEBUG
@Test func `a call can be made to find no room, once`() {
    let pool = BlockPool(capacity: 3)
    var chain = Chain()
    pool.failOnce(after: 1)
    let results = (0..<3).map { _ in pool.append([1], to: &chain) }
    #expect(results == [true, false, true] && chain.count == 2)
    pool.clear(&chain)
}
#endif

@Test func `a place that was reserved and never used is given back with its chain`() {
    let pool = BlockPool(capacity: 4)
    var chain = Chain()
    let isReserved = unsafe pool.reserve(100, in: &chain) != nil
    #expect(isReserved && chain.isEmpty)
    pool.clear(&chain)
    let afterEmpty = pool.inUse
    #expect(pool.append([1], to: &chain) == true)
    let isReservedAgain = unsafe pool.reserve(block, in: &chain) != nil
    pool.drop(1, from: &chain)
    let afterDrop = pool.inUse
    #expect(isReservedAgain && afterEmpty == 0 && afterDrop == 0)
}

@Test func `joined chains are one, without a copy`() {
    let pool = BlockPool(capacity: 8)
    var first = Chain()
    var second = Chain()
    #expect(pool.append(pattern(100), to: &first) == true)
    #expect(pool.append(pattern(block + 50), to: &second) == true)
    let before = pool.inUse
    pool.join(&second, to: &first)
    let after = pool.inUse
    #expect(before == after && second.isEmpty && second.head == -1)
    #expect(pool.contents(of: first) == pattern(100) + pattern(block + 50))
    pool.join(&second, to: &first)
    #expect(first.count == block + 150)
    pool.join(&first, to: &second)
    #expect(first.isEmpty && pool.contents(of: second) == pattern(100) + pattern(block + 50))
    pool.clear(&second)
}

/// A send takes the front: with nothing there it would send nothing for ever.
@Test func `the front of a chain with bytes is never empty, whatever was reserved before a join`() {
    let pool = BlockPool(capacity: 8)
    var first = Chain()
    var second = Chain()
    _ = unsafe pool.reserve(10, in: &first)
    #expect(pool.append([7], to: &second) == true)
    pool.join(&second, to: &first)
    #expect(pool.frontCount(of: first) == 1)
    _ = unsafe pool.reserve(block, in: &first)
    #expect(pool.append([8, 9], to: &second) == true)
    pool.join(&second, to: &first)
    #expect(pool.contents(of: first) == [7, 8, 9])
    pool.drop(1, from: &first)
    #expect(pool.frontCount(of: first) == 2)
    pool.drop(2, from: &first)
    let inUse = pool.inUse
    #expect(inUse == 0)
}

@Test func `the front of an empty chain is empty`() {
    let pool = BlockPool(capacity: 1)
    #expect(pool.frontCount(of: Chain()) == 0)
}

@Test func `as much is copied out as fits`() {
    let pool = BlockPool(capacity: 4)
    var chain = Chain()
    let bytes = pattern(2 * block)
    #expect(pool.append(bytes, to: &chain) == true)
    for size in [0, 1, block - 1, block, block + 1, 2 * block, 3 * block] {
        var target = [UInt8](repeating: 0xee, count: size)
        let copied = unsafe target.withUnsafeMutableBytes { unsafe pool.copy(chain, to: $0) }
        #expect(copied == min(size, bytes.count) && target.prefix(copied) == bytes.prefix(copied))
        #expect(target.dropFirst(copied).allSatisfy { $0 == 0xee })
    }
    pool.clear(&chain)
}

/// Another reactor reads a connection's first bytes in place, with nothing but the chain.
@Test func `a view shows the same bytes to another thread`() {
    let pool = BlockPool(capacity: 8)
    var chain = Chain()
    let bytes = pattern(2 * block + 9)
    #expect(pool.append([1, 2, 3] + bytes, to: &chain) == true)
    pool.drop(3, from: &chain)
    let view = pool.view
    let head = chain.head
    let equal = SharedWords(count: 1)
    onThreads([
        {
            var seen: [UInt8] = []
            var index = head
            while index >= 0 {
                let (part, next) = unsafe view.block(index)
                seen += unsafe Array(part)
                index = next
            }
            equal.store(seen == bytes ? 1 : 0, at: 0)
        }
    ])
    #expect(equal.load(0) == 1)
    pool.clear(&chain)
}

@Test func `misuse of a pool traps`() async {
    await #expect(processExitsWith: .failure) {
        let pool = BlockPool(capacity: 2)
        var chain = Chain()
        _ = unsafe pool.reserve(BlockPool.blockBytes + 1, in: &chain)
    }
    await #expect(processExitsWith: .failure) {
        let pool = BlockPool(capacity: 2)
        var chain = Chain()
        _ = unsafe pool.reserve(10, in: &chain)
        pool.commit(BlockPool.blockBytes + 1, to: &chain)
    }
    await #expect(processExitsWith: .failure) {
        let pool = BlockPool(capacity: 2)
        var chain = Chain()
        pool.commit(1, to: &chain)
    }
    await #expect(processExitsWith: .failure) {
        let pool = BlockPool(capacity: 2)
        var chain = Chain()
        pool.drop(1, from: &chain)
    }
    await #expect(processExitsWith: .failure) {
        let pool = BlockPool(capacity: 2)
        _ = unsafe pool.bytes(of: 2)
    }
    await #expect(processExitsWith: .failure) {
        let pool = BlockPool(capacity: 2)
        _ = unsafe pool.view.block(-1)
    }
}
