import Memory

extension Loop {
    static let queues: [Loop] = [messages, indices, links]

    /// From one thread to itself: what it costs when nobody is in the way.
    private static let messages = Loop("Memory: push a message and pop it") {
        let queue = MessageQueue<InlineArray<4, UInt64>>(capacity: 1024)
        return { count in
            var sum = 0
            for index in 0..<count {
                guard queue.push(.init(repeating: UInt64(truncatingIfNeeded: index &+ 1))) else { return 0 }
                guard let message = queue.pop() else { return 0 }
                sum &+= Int(truncatingIfNeeded: message[2])
            }
            return sum
        }
    }

    private static let indices = Loop("Memory: put an index into a queue and take the oldest out") {
        var queue = IndexQueue(capacity: 1024)
        for index in Int32(0)..<16 { queue.append(index) }
        return { count in rotate(&queue, count: count) }
    }

    private static func rotate(_ queue: inout IndexQueue, count: Int) -> Int {
        var sum = 0
        for _ in 0..<count {
            let index = queue.removeFirst()
            queue.append((index &+ 16) & 1023)
            sum &+= Int(index) &+ 1
        }
        return sum
    }

    /// From the middle of a list to its end.
    private static let links = Loop("Memory: move an index within its list") {
        let links = IndexLinks(capacity: 1024)
        return { count in
            var list = IndexList()
            for index in Int32(0)..<64 { links.append(index, to: &list) }
            for index in 0..<count {
                let moved = Int32(truncatingIfNeeded: (index &* 37) & 63)
                links.remove(moved, from: &list)
                links.append(moved, to: &list)
            }
            let last = list.last
            while links.removeFirst(from: &list) >= 0 {}
            return Int(last) &+ 1
        }
    }
}
