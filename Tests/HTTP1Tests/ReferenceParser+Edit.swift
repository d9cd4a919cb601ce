/// What the reference sends to a service, and what path it routes by.
extension ReferenceRequest {
    func edited(address: String, localHost: String, isTrusted: Bool) -> [UInt8] {
        let completed = lacksHost && !localHost.isEmpty ? Array(localHost.utf8) : nil
        var lines: [[UInt8]] = [Array("\(method) ".utf8) + originForm + Array(" HTTP/1.1".utf8)]
        if let host = newHost ?? completed { lines.append(Array("Host: ".utf8) + host) }
        if newHost ?? completed == nil && values("host").isEmpty { lines.append(Array("Host:".utf8)) }
        var hasLength = false
        for field in fields where passes(Self.kind(field.name), isTrusted, &hasLength) {
            if completed != nil && Self.lower(field.name) == "host" { continue }
            lines.append(field.name + [58] + field.rest)
        }
        if isUpgrade && losesUpgrades {
            lines.append(Array("Upgrade: ".utf8) + otherUpgrades)
        }
        if isUpgrade { lines.append(Array("Connection: Upgrade".utf8)) }
        if options("te").contains("trailers") { lines.append(Array("TE: trailers".utf8)) }
        if maxForwards > 0 { lines.append(Array("Max-Forwards: \(maxForwards - 1)".utf8)) }
        let others = isTrusted ? values("x-forwarded-for").filter { !$0.isEmpty } : []
        lines.append(
            Array("X-Forwarded-For: ".utf8) + Array((others + [Array(address.utf8)]).joined(separator: [44, 32])))
        if !isTrusted || values("x-forwarded-proto").isEmpty { lines.append(Array("X-Forwarded-Proto: http".utf8)) }
        let authority = newHost ?? values("host").first ?? []
        if !authority.isEmpty && (!isTrusted || values("x-forwarded-host").isEmpty) {
            lines.append(Array("X-Forwarded-Host: ".utf8) + authority)
        }
        return Array(lines.map { $0 + [13, 10] }.joined()) + [13, 10]
    }

    private func passes(_ name: String, _ isTrusted: Bool, _ hasLength: inout Bool) -> Bool {
        switch name {
        case "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "te": return false
        case "cdn-loop": return true
        case "proxy-authorization": return method == "CONNECT"
        case "x-forwarded-for": return false
        case "x-forwarded-proto", "x-forwarded-host": return isTrusted
        case "upgrade": return isUpgrade && !losesUpgrades
        case "host": return newHost == nil
        case "expect": return minorVersion == 1
        case "content-length":
            defer { hasLength = true }
            return !hasLength
        case "max-forwards" where hasMaxForwards: return maxForwards <= 0 && !named.contains(name)
        case "max_forwards" where hasMaxForwards: return false
        default: return !named.contains(name)
        }
    }

    private var hasMaxForwards: Bool { method == "OPTIONS" || method == "TRACE" }

    /// What Max-Forwards says, -1 for nothing.
    var maxForwards: Int {
        let numbers = values("max-forwards").filter { !$0.isEmpty && $0.allSatisfy { (48...57).contains($0) } }
        return hasMaxForwards ? numbers.map { Int(String(decoding: $0, as: UTF8.self)) ?? .max }.min() ?? -1 : -1
    }

    /// The members that go on, each with a space before it if the client had one there.
    private var otherUpgrades: [UInt8] {
        var kept: [UInt8] = []
        for field in fields where Self.lower(field.name) == "upgrade" {
            for member in field.rest.split(separator: 44) {
                let name = Self.trim(member)
                if name.isEmpty || Self.isClearTextHTTP2(Self.lower(name)) { continue }
                let hasSpace = member.prefix { $0 == 32 || $0 == 9 }.last == 32
                if !kept.isEmpty { kept += hasSpace ? [44, 32] : [44] }
                kept += name
            }
        }
        return kept
    }

    private var losesUpgrades: Bool { options("upgrade").contains(where: Self.isClearTextHTTP2) }

    /// The target as a server that is no proxy gets it.
    private var originForm: [UInt8] {
        guard let authority = authorityOfTarget else { return target }
        let rest = target[(target.firstIndex(of: 58)! + 3 + authority.count)...]
        if rest.isEmpty { return method == "OPTIONS" ? [42] : [47] }
        return rest.first == 47 ? Array(rest) : [47] + rest
    }

    /// The path to route by, nil if the request is refused for it.
    var path: [UInt8]? {
        var path = target
        if let authority = authorityOfTarget {
            path = Array(target[(target.firstIndex(of: 58)! + 3 + authority.count)...])
        }
        path = Array(path.prefix { $0 != 63 })
        if path.first != 47 || method == "CONNECT" { return [47] }
        guard let decoded = Self.decode(path) else { return nil }
        var kept: [ArraySlice<UInt8>] = []
        let segments = decoded.dropFirst().split(separator: 47, omittingEmptySubsequences: false)
        for (index, segment) in segments.enumerated() {
            let isLast = index == segments.count - 1
            switch Array(segment) {
            case [46]: if isLast { kept.append([]) }
            case [46, 46]:
                if kept.isEmpty { return nil }
                kept.removeLast()
                if isLast { kept.append([]) }
            default: kept.append(segment)
            }
        }
        return [47] + Array(kept.joined(separator: [47]))
    }

    private static func decode(_ path: [UInt8]) -> [UInt8]? {
        var decoded: [UInt8] = []
        var index = 0
        while index < path.count {
            if path[index] == 37 {
                let digits = path.dropFirst(index + 1).prefix(2)
                guard digits.count == 2, digits.allSatisfy({ Character(UnicodeScalar($0)).isHexDigit && $0 < 128 })
                else { return nil }
                let byte = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)!
                if byte == 0 { return nil }
                decoded.append(byte)
                index += 3
            } else {
                decoded.append(path[index])
                index += 1
            }
        }
        return decoded
    }
}
