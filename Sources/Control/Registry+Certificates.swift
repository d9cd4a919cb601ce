internal import TLS

/// A certificate of a route.
struct RouteIdentity {
    let identity: Identity
    /// Which of all that have come it is; of two for one name the later one wins.
    var number: UInt64
    /// Sessions of the route that have brought it.
    var sessions: Int
    /// Since when there are none, on the caller's clock.
    var unusedSince: UInt64?
}

/// What the log has to tell of certificates.
enum CertificateNews: Equatable {
    case speaksTLS(PublicAddress)
    case speaksPlain(PublicAddress)
    /// Both routes bring a certificate for the names, and clients get the winner's.
    case overlap(names: [String], winner: String, loser: String)
}

/// Two certificates for the same names, each by which of all that have come it is.
struct CertificatePair: Hashable {
    let winner: UInt64
    let loser: UInt64
}

// Certificates live with their route: as long as a session that has brought them, and while the route is held. A
// certificate that no session brings any more stays until another one of its kind does, or for a hold, so that a
// service that returns with several sessions is never without.
extension Registry {
    /// A session joins the route. Returns the identity that is the session's: another one of the same certificate,
    /// where there is one.
    mutating func add(_ identity: Identity?, to route: inout RegisteredRoute) -> Identity? {
        guard let identity else {
            if route.identities.allSatisfy({ $0.sessions == 0 }) { removeUnused(from: &route) { _ in true } }
            return nil
        }
        certificatesSeen += 1
        let known = route.identities.first { $0.identity.fingerprint == identity.fingerprint }
        var entry = known ?? RouteIdentity(identity: identity, number: 0, sessions: 0)
        entry.number = certificatesSeen
        entry.sessions += 1
        entry.unusedSince = nil
        route.identities.removeAll { $0.identity === entry.identity }
        route.identities.append(entry)
        removeUnused(from: &route) { $0.kind == entry.identity.kind }
        noteCertificates(on: route.listener)
        return entry.identity
    }

    /// A session has left the route.
    mutating func leave(_ identity: Identity?, of route: inout RegisteredRoute, now: UInt64) {
        guard let place = route.identities.firstIndex(where: { $0.identity === identity }) else { return }
        route.identities[place].sessions -= 1
        guard route.identities[place].sessions == 0 else { return }
        route.identities[place].unusedSince = now
        routesWithUnused.insert(route.id)
        let kind = route.identities[place].identity.kind
        let hasOther = route.identities.contains { $0.sessions > 0 && $0.identity.kind == kind }
        if hasOther { removeUnused(from: &route) { $0.kind == kind } }
    }

    private mutating func removeUnused(from route: inout RegisteredRoute, where isMeant: (Identity) -> Bool) {
        let count = route.identities.count
        route.identities.removeAll { $0.sessions == 0 && isMeant($0.identity) }
        if route.identities.count < count { noteCertificates(on: route.listener) }
    }

    /// When the next certificate ends that no session brings any more.
    var nextUnusedEnd: UInt64? {
        let since = routesWithUnused.lazy.compactMap { self.routes[$0] }.filter { $0.heldSince == nil }
            .flatMap { $0.identities.compactMap { $0.unusedSince } }
        return since.min().map { $0 + bounds.hold }
    }

    /// Where a route has sessions again, certificates that none of them has brought end after a hold.
    mutating func endUnused(now: UInt64) {
        for id in routesWithUnused {
            guard var route = routes[id], route.identities.contains(where: { $0.sessions == 0 }) else {
                routesWithUnused.remove(id)
                continue
            }
            guard route.heldSince == nil else { continue }
            let ended = Set(
                route.identities.filter { $0.unusedSince.map { $0 + bounds.hold <= now } ?? false }
                    .map { $0.identity.fingerprint })
            guard !ended.isEmpty else { continue }
            removeUnused(from: &route) { ended.contains($0.fingerprint) }
            routes[id] = route
        }
    }

    mutating func takeCertificateNews() -> [CertificateNews] {
        defer { certificateNews.removeAll() }
        return certificateNews
    }

    mutating func noteCertificates(on slot: Int) {
        noteChange()
        listeners[slot]?.hasNewCertificates = true
    }

    /// Those of all listeners, to be kept for as long as a snapshot names them.
    var certificateTables: [IdentityTable] { listeners.open.compactMap { $0.listener.certificates } }

    /// Makes the tables anew of listeners whose certificates have changed.
    mutating func renewCertificates() {
        for (slot, listener) in listeners.open where listener.hasNewCertificates {
            let owned = certificates(on: listener)
            let table =
                owned.isEmpty ? nil : IdentityTable(owned.map { $0.identity }, first: first(among: owned))
            listeners[slot]?.certificates = table
            listeners[slot]?.hasNewCertificates = false
            if (table == nil) != (listener.certificates == nil) {
                certificateNews.append(table == nil ? .speaksPlain(listener.address) : .speaksTLS(listener.address))
            }
            let told = tellOverlaps(table, owned, told: listener.toldOverlaps)
            listeners[slot]?.toldOverlaps = told
        }
    }

    private typealias Owned = (identity: Identity, route: RegisteredRoute, number: UInt64)

    /// All certificates of a listener, each once, the newest last.
    private func certificates(on listener: ListenerTable.Listener) -> [Owned] {
        let routes = listener.routes.values.compactMap { self.routes[$0] }
        let all = routes.flatMap { route in
            route.identities.map { Owned(identity: $0.identity, route: route, number: $0.number) }
        }
        var newest: [[UInt8]: Owned] = [:]
        for owned in all where owned.number > (newest[owned.identity.fingerprint]?.number ?? 0) {
            newest[owned.identity.fingerprint] = owned
        }
        return newest.values.sorted { $0.number < $1.number }
    }

    /// The certificates of the route that was there first: clients get them that ask for no name, or for one that
    /// nobody has.
    private func first(among owned: [Owned]) -> [Int] {
        let oldest = owned.map { $0.route.id }.min()
        return owned.indices.filter { owned[$0].route.id == oldest }
    }

    /// Tells of the names that two routes have brought, once for every two certificates. Returns all that are told.
    private mutating func tellOverlaps(
        _ table: IdentityTable?, _ owned: [Owned], told: Set<CertificatePair>
    ) -> Set<CertificatePair> {
        var names: [CertificatePair: [String]] = [:]
        for overlap in table?.overlaps ?? [] {
            let (winner, loser) = (owned[overlap.winner], owned[overlap.loser])
            // Within a route it is a renewal.
            guard winner.route.id != loser.route.id else { continue }
            names[CertificatePair(winner: winner.number, loser: loser.number), default: []].append(overlap.name)
        }
        for (pair, names) in names where !told.contains(pair) {
            guard let winner = owned.first(where: { $0.number == pair.winner }),
                let loser = owned.first(where: { $0.number == pair.loser })
            else { continue }
            certificateNews.append(
                .overlap(names: names, winner: "\(name(of: winner.route))", loser: "\(name(of: loser.route))"))
        }
        return Set(names.keys)
    }
}
