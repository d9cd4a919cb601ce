// What descriptions, errors and logs show of texts that a service has given.

extension String {
    /// The text without what looks like a key: somebody may have put one where a name, a path or an address belongs.
    /// Left out are blocks of PEM, to their end or the text's, and what could be lines out of one.
    package var withoutKeys: String {
        var result = ""
        var rest = self[...]
        while let begin = rest.firstRange(of: "-----BEGIN") {
            result += String(rest[..<begin.lowerBound]).withoutKeyLines
            let block = rest[begin.lowerBound...]
            // A sentence may speak of such a line.
            if isSpokenOf(rest[begin.upperBound...]) {
                result += String(rest[begin])
                rest = rest[begin.upperBound...]
                continue
            }
            let end = block.firstRange(of: "-----END").flatMap { end in
                block[end.upperBound...].firstRange(of: "-----")?.upperBound
            }
            let after = end ?? block.endIndex
            result += "<PEM, \(block[..<after].utf8.count) bytes>"
            rest = block[after...]
        }
        return result + String(rest).withoutKeyLines
    }

    /// Whether what stands behind "-----BEGIN" goes on as a sentence does, and not as the line of a block.
    private func isSpokenOf(_ rest: Substring) -> Bool {
        let label = rest.prefix { $0.isUppercase && $0.isASCII || $0 == " " }
        guard let next = rest[label.endIndex...].first, !label.isEmpty else { return false }
        return next == ";" || label.last == " " && next.isLowercase
    }

    /// So many letters of base64 in a row are more than any word has. A line of PEM has 64, but for the last one.
    private static let longestWord = 40

    private var withoutKeyLines: String {
        guard utf8.count >= Self.longestWord else { return self }
        var result = ""
        var run = ""
        for scalar in unicodeScalars {
            if scalar.isBase64 {
                run.unicodeScalars.append(scalar)
            } else {
                result += run.shownRun
                run = ""
                result.unicodeScalars.append(scalar)
            }
        }
        return result + run.shownRun
    }

    /// In words one letter mostly follows another of its kind. In what is random two of three neighbours differ.
    private var shownRun: String {
        guard utf8.count >= Self.longestWord else { return self }
        let kinds = utf8.map(letterKind)
        let changes = zip(kinds, kinds.dropFirst()).count { $0 != $1 }
        return 100 * changes >= 45 * utf8.count ? "<\(utf8.count) characters>" : self
    }
}

/// Capital letters, small ones, digits and signs.
private func letterKind(_ byte: UInt8) -> Int {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): 0
    case UInt8(ascii: "a")...UInt8(ascii: "z"): 1
    case UInt8(ascii: "0")...UInt8(ascii: "9"): 2
    default: 3
    }
}

extension Unicode.Scalar {
    fileprivate var isBase64: Bool {
        switch self {
        case "A"..."Z", "a"..."z", "0"..."9", "+", "/", "=": true
        default: false
        }
    }
}

extension RegistrationAttribute {
    /// The attributes as they may be shown: of those that are not known here only how long they are, for they may be
    /// tokens.
    package static func shown(_ attributes: [String: String]) -> [String: String] {
        return Dictionary(
            attributes.map { name, value in
                (name.withoutKeys, known.contains(name) ? value.withoutKeys : "<\(value.utf8.count) bytes>")
            }, uniquingKeysWith: { first, _ in first })
    }
}

extension SocketDefinition: CustomReflectable {
    /// Neither keys nor what may be a token; see `TLS`.
    public var customMirror: Mirror {
        Mirror(
            self,
            children: [
                "address": address.withoutKeys, "port": port, "http": http as Any, "tls": tls as Any,
                "attributes": attributes.map(RegistrationAttribute.shown) as Any,
            ], displayStyle: .struct)
    }
}

extension SocketDefinition.HTTP: CustomReflectable {
    public var customMirror: Mirror {
        Mirror(
            self, children: ["domainSuffix": domainSuffix.withoutKeys, "pathPrefix": pathPrefix.withoutKeys],
            displayStyle: .struct)
    }
}

extension SocketDefinition.TLS: CustomReflectable {
    /// What the two are and how long. The certificate's file may have a key in it.
    public var customMirror: Mirror {
        Mirror(self, children: ["certificate": certificateBytes, "key": keyBytes], displayStyle: .struct)
    }
}

extension CanonicalDefinition: CustomReflectable {
    public var customMirror: Mirror {
        Mirror(
            self,
            children: [
                "address": address, "port": port, "pattern": pattern as Any, "tls": tls as Any,
                "attributes": attributes.map(RegistrationAttribute.shown) as Any,
            ], displayStyle: .struct)
    }
}

extension RoutePattern: CustomReflectable {
    public var customMirror: Mirror {
        Mirror(
            self, children: ["domainSuffix": domainSuffix.withoutKeys, "pathPrefix": pathPrefix.withoutKeys],
            displayStyle: .struct)
    }
}

extension RegistrationResponse: CustomReflectable {
    public var customMirror: Mirror {
        Mirror(
            self,
            children: [
                "status": status.withoutKeys, "attributes": attributes.map(RegistrationAttribute.shown) as Any,
            ], displayStyle: .struct)
    }
}

extension RegistrationRefusal: CustomReflectable {
    /// The sentence, and not the whole of what it quotes.
    public var customMirror: Mirror { Mirror(self, children: ["sentence": description], displayStyle: .enum) }
}

extension RegistrationDecoder: CustomReflectable {
    /// How far it is, and nothing of what has arrived.
    public var customMirror: Mirror {
        Mirror(self, children: ["state": state, "bufferedBytes": bufferedBytes], displayStyle: .struct)
    }
}

extension RegistrationResponseDecoder: CustomReflectable {
    public var customMirror: Mirror { Mirror(self, children: ["state": state], displayStyle: .struct) }
}

extension FieldCollector: CustomReflectable {
    var customMirror: Mirror { Mirror(self, children: ["byteCount": bytes.count], displayStyle: .struct) }
}
