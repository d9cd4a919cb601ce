import CKernel
import Registration
import Routing
import TLS

@testable import Control

/// A registry with a session here and there, and a clock that only tests move.
struct World {
    var registry: Registry
    var now: UInt64 = 1_000_000
    var events: [RegistryEvent] = []

    init(reactors: Int = 2, sessions: Int = 100, listeners: Int = 100, hold: UInt64 = 30_000) {
        registry = Registry(
            Registry.Bounds(reactors: reactors, sessions: sessions, listeners: listeners, hold: hold))
    }

    /// Registers as the control thread does, and returns the session.
    mutating func register(
        _ address: PublicAddress, _ pattern: ClientPattern, reuses: Bool = false, identity: Identity? = nil,
        by peer: String = "127.0.0.1", isNamed: Bool = true
    ) -> AddedSession {
        let slot: Int
        switch registry.listener(for: address) {
        case .open(let open): slot = open
        case .nothing:
            slot = registry.freeListenerSlot()!
            _ = registry.openListener(address, slot: slot)
        case .closing, .overlapped: preconditionFailure("not what this test is about")
        }
        return registry.addSession(
            to: slot, for: pattern, service: "test", peer: peer, isNamed: isNamed, reusesStreams: reuses,
            identity: identity, now: now)
    }

    mutating func register(port: UInt16, _ path: String = "/", _ identity: Identity? = nil) -> AddedSession {
        register(local(port), http(path), identity: identity)
    }

    /// The reactor reports the end of a session and lets go of it.
    mutating func lose(_ handle: SessionHandle) {
        events += registry.sessionIsGone(handle, now: now)
        registry.sessionIsReleased(handle)
    }

    mutating func pass(_ milliseconds: UInt64) {
        now += milliseconds
        events += registry.expireHolds(now: now)
    }

    /// The routes of the next snapshot, as text, and how many sessions each has.
    mutating func published() -> [String: Int] {
        var routes: [String: Int] = [:]
        for listener in registry.takeDefinitions() {
            for route in listener.routes {
                switch route.kind {
                case .raw: routes["\(listener.index) raw"] = route.sessions.count
                case .http(let suffix, let prefix):
                    routes["\(listener.index) \(suffix)\(prefix)"] = route.sessions.count
                }
            }
        }
        return routes
    }
}

func local(_ port: UInt16) -> PublicAddress {
    PublicAddress(address: .loopback, port: port)
}

func http(_ path: String, suffix: String = "") -> ClientPattern {
    guard let pattern = try? RoutePattern(.init(domainSuffix: suffix, pathPrefix: path), port: 80) else {
        preconditionFailure("not a pattern")
    }
    return .http(pattern)
}

/// How the log names a route.
func name(_ port: UInt16, _ path: String = "/") -> RouteName {
    RouteName(pattern: http(path), address: local(port))
}

/// A descriptor that means nothing.
func anyDescriptor() -> OwnedDescriptor {
    OwnedDescriptor(ck_make_eventfd(false))
}
