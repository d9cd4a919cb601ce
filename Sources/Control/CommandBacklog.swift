internal import Proxy

/// Commands for reactors whose queues are full. A reactor empties its queue every turn, so there is one only behind a
/// reactor that hangs.
///
/// The control thread goes on only when nothing is left here (`deliverCommands`), so it never holds more than one round
/// of it brings about.
struct CommandBacklog {
    /// Of each reactor, oldest first.
    private var waiting: [[Command]]

    init(reactors: Int) {
        waiting = Array(repeating: [], count: reactors)
    }

    var isEmpty: Bool { waiting.allSatisfy(\.isEmpty) }

    /// Reactors that commands wait for.
    var silentReactors: [Int] { waiting.indices.filter { !waiting[$0].isEmpty } }

    /// Sends a command behind all that the reactor has been sent before.
    mutating func send(_ command: Command, to reactor: Int, of plane: Plane) {
        if waiting[reactor].isEmpty, plane.offer(command, to: reactor) { return }
        // A session is pinged sooner or later anyway, and there may be thousands of these.
        if case .probeSession = command.kind { return }
        waiting[reactor].append(command)
    }

    /// Tries again.
    /// - Returns: whether nothing waits any more.
    mutating func deliver(to plane: Plane) -> Bool {
        for reactor in silentReactors {
            let count = waiting[reactor].prefix { plane.offer($0, to: reactor) }.count
            waiting[reactor].removeFirst(count)
        }
        return isEmpty
    }
}
