import Memory

extension Loop {
    static let blockChains: [Loop] = [
        appendAndDrop("100 bytes", byteCount: 100),
        appendAndDrop("16 KiB", byteCount: 16_384),
        reserve,
    ]

    private static func appendAndDrop(_ what: String, byteCount: Int) -> Loop {
        Loop("Memory: put \(what) on a chain of blocks and drop them") {
            let pool = BlockPool(capacity: 64)
            let bytes = unsafe padded([UInt8](repeating: 1, count: byteCount))
            return { count in
                var chain = Chain()
                var sum = 0
                for _ in 0..<count {
                    guard unsafe pool.append(bytes, to: &chain) else { return 0 }
                    sum &+= unsafe pool.front(of: chain).count
                    pool.drop(byteCount, from: &chain)
                }
                return sum
            }
        }
    }

    /// Without the copy: somebody else writes there, or the kernel.
    private static let reserve = Loop("Memory: reserve 512 bytes on a chain of blocks, commit and drop them") {
        let pool = BlockPool(capacity: 64)
        return { count in
            var chain = Chain()
            var sum = 0
            for _ in 0..<count {
                guard let place = unsafe pool.reserve(512, in: &chain) else { return 0 }
                unsafe place.storeBytes(of: 1, as: UInt8.self)
                pool.commit(512, to: &chain)
                sum &+= chain.count
                pool.drop(512, from: &chain)
            }
            return sum
        }
    }
}
