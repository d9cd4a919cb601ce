import Memory
import Reactor
import Routing

extension Worker {
    mutating func obey(_ command: Command) {
        switch command.kind {
        case .handOver: takeOver(command)
        case .makeRoom: makeRoom(command.search)
        case .takeBack:
            var chain = command.chain
            pool.clear(&chain)
        case .adoptSession: adoptSession(command)
        case .announceSession: announceSession(command)
        case .probeSession: probe(command)
        case .endSession:
            if isLive(command.session) { loseSession(Int32(command.session.index), .stopped) }
        case .prepareListener:
            accepting.listenerCount = max(accepting.listenerCount, Int(command.listener) + 1)
            accepting.listeners[command.listener] = ListenerSlot(generation: command.generation)
        case .openListener:
            accepting.listeners[command.listener].fd = command.fd
            if isDraining {
                Sockets.stopListening(command.fd)
            } else if !accepting.isPaused {
                armAccept(command.listener)
            }
        case .closeListener: closeListener(command.listener)
        case .drain: beginToDrain()
        case .stop: isStopped = true
        }
    }
}
