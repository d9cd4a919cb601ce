import Glibc
import Memory

/// How many times the usual number of random schedules run: `MEMORY_TEST_EFFORT` in the environment.
let effort: UInt64 = {
    guard let text = unsafe getenv("MEMORY_TEST_EFFORT") else { return 1 }
    return UInt64(unsafe String(cString: text)) ?? 1
}()

private final class Work: Sendable {
    let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) {
        self.body = body
    }
}

/// Runs every body on a thread of its own and waits for all of them.
func onThreads(_ bodies: [@Sendable () -> Void]) {
    let threads = bodies.map { body in
        var thread = pthread_t()
        let work = unsafe Unmanaged.passRetained(Work(body)).toOpaque()
        let status = unsafe pthread_create(
            &thread,
            nil,
            { work in
                unsafe Unmanaged<Work>.fromOpaque(work!).takeRetainedValue().body()
                return nil
            },
            work
        )
        precondition(status == 0)
        return thread
    }
    for thread in threads { pthread_join(thread, nil) }
}

/// Bytes that repeat late, so that pieces in the wrong order are noticed.
func pattern(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
}

extension BlockPool {
    borrowing func append(_ bytes: [UInt8], to chain: inout Chain) -> Bool {
        // Memory of exactly that size: a sanitizer sees each byte that is read beside it.
        let exact = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { unsafe exact.deallocate() }
        unsafe exact.copyBytes(from: bytes)
        return unsafe append(UnsafeRawBufferPointer(exact), to: &chain)
    }

    /// All bytes of a chain, block by block.
    borrowing func contents(of chain: Chain) -> [UInt8] {
        var result: [UInt8] = []
        var index = chain.head
        while index >= 0 {
            result += unsafe Array(bytes(of: index))
            index = next(of: index)
        }
        return result
    }

    borrowing func blocks(of chain: Chain) -> Int {
        var count = 0
        var index = chain.head
        while index >= 0 {
            count += 1
            index = next(of: index)
        }
        return count
    }

    /// How many bytes lie together at the front.
    borrowing func frontCount(of chain: Chain) -> Int { unsafe front(of: chain).count }
}
