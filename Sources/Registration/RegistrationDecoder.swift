/// Reads one registration, in whatever pieces it arrives (the original's client writes each field by itself).
///
/// Call `receive` with what has arrived until `state` is no longer `.needsMore`. Bytes behind the registration are
/// never consumed: they are the first of the session.
public struct RegistrationDecoder: Sendable {
    public enum State: Sendable, Equatable {
        /// The registration goes on.
        case needsMore
        /// All of it is there. Nothing in it has been judged but lengths, flags, port and encoding.
        case complete(SocketDefinition)
        /// It breaks a bound. Nothing that follows can be understood.
        case refused(RegistrationRefusal)
    }

    public private(set) var state = State.needsMore
    /// Whether the service has asked for a response with attributes. Known once the flags have been read.
    public private(set) var wantsAttributes = false

    private var collector = FieldCollector(expecting: FieldCollector.integerBytes)
    private var current = Part.length(.address)
    private var definition = SocketDefinition(port: 0)
    private var flags = RegistrationFlags()
    private var attributesLeft = 0
    private var attributeName = ""
    private var retainedBytes = 0

    public init() {}

    /// How much memory the registration holds by now, in bytes: at most `RegistrationLimits.registrationBytes` and
    /// as much again for growth. 0 once it has ended; a complete definition belongs to the caller.
    public var bufferedBytes: Int {
        guard case .needsMore = state else { return 0 }
        return retainedBytes + collector.bytes.capacity
    }

    /// Takes as many of the bytes as belong to the registration.
    /// - Returns: how many those were. Fewer than there are only if the registration ended among them.
    public mutating func receive(_ bytes: Span<UInt8>) -> Int {
        var offset = 0
        while case .needsMore = state {
            offset += collector.collect(bytes, from: offset)
            guard collector.isFull else { break }
            finishPart()
        }
        return offset
    }

    /// What is being read.
    private enum Part {
        case length(RegistrationRefusal.Field)
        case content(RegistrationRefusal.Field)
        case port
        case flags
        case attributeCount
    }

    /// Whether bytes of a key have arrived, or may have.
    public var isWithinSecret: Bool { flags.contains(.tls) }

    /// Overwrites what has arrived of a registration that is given up: a part of a key may be among it.
    public mutating func wipe() {
        guard case .needsMore = state else { return }
        collector.wipe()
        // The key that has arrived goes with its last holder.
        definition.tls = nil
    }

    private mutating func finishPart() {
        do throws(RegistrationRefusal) {
            switch current {
            case .length(let field): try finishLength(of: field)
            case .content(let field): try finishContent(of: field)
            case .port: try finishPort()
            case .flags: try finishFlags()
            case .attributeCount: try finishAttributeCount()
            }
        } catch {
            end(.refused(error))
        }
    }

    private mutating func finishLength(of field: RegistrationRefusal.Field) throws(RegistrationRefusal) {
        let count = collector.takeInteger()
        let limit = limit(of: field)
        guard (0...limit).contains(count) else {
            throw .length(field, announced: count, limit: limit)
        }
        begin(.content(field), byteCount: count)
    }

    private mutating func finishContent(of field: RegistrationRefusal.Field) throws(RegistrationRefusal) {
        let bytes = collector.take()
        retainedBytes += bytes.count
        switch field {
        case .address:
            definition.address = try validText(bytes, of: field)
            begin(.port, byteCount: FieldCollector.integerBytes)
        case .domainSuffix:
            definition.http = .init(domainSuffix: try validText(bytes, of: field))
            beginLength(of: .pathPrefix)
        case .pathPrefix:
            definition.http?.pathPrefix = try validText(bytes, of: field)
            beginTLS()
        case .certificate:
            definition.tls = .init(certificate: bytes, key: [])
            beginLength(of: .key)
        case .key:
            definition.tls?.key = bytes
            beginAttributes()
        case .attributeName:
            attributeName = try validText(bytes, of: field)
            guard definition.attributes?[attributeName] == nil else {
                throw .attributeRepeated(name: attributeName)
            }
            beginLength(of: .attributeValue)
        case .attributeValue:
            definition.attributes?[attributeName] = try validText(bytes, of: field)
            attributesLeft -= 1
            beginAttribute()
        case .status:
            preconditionFailure("a registration has no status")
        }
    }

    private mutating func finishPort() throws(RegistrationRefusal) {
        let port = collector.takeInteger()
        guard (0...65_535).contains(port) else {
            throw .portOutOfRange(port)
        }
        definition.port = port
        begin(.flags, byteCount: 1)
    }

    private mutating func finishFlags() throws(RegistrationRefusal) {
        flags = RegistrationFlags(rawValue: collector.take()[0])
        wantsAttributes = flags.contains(.attributes)
        guard flags.isSubset(of: .all) else {
            throw .unknownFlags(flags.subtracting(.all).rawValue)
        }
        if flags.contains(.http) {
            beginLength(of: .domainSuffix)
        } else {
            beginTLS()
        }
    }

    private mutating func finishAttributeCount() throws(RegistrationRefusal) {
        let count = collector.takeInteger()
        guard (0...RegistrationLimits.attributes).contains(count) else {
            throw .attributeCount(announced: count)
        }
        definition.attributes = [:]
        attributesLeft = count
        beginAttribute()
    }

    private mutating func beginTLS() {
        if flags.contains(.tls) {
            beginLength(of: .certificate)
        } else {
            beginAttributes()
        }
    }

    private mutating func beginAttributes() {
        if flags.contains(.attributes) {
            begin(.attributeCount, byteCount: FieldCollector.integerBytes)
        } else {
            end(.complete(definition))
        }
    }

    private mutating func beginAttribute() {
        if attributesLeft > 0 {
            beginLength(of: .attributeName)
        } else {
            end(.complete(definition))
        }
    }

    private mutating func beginLength(of field: RegistrationRefusal.Field) {
        begin(.length(field), byteCount: FieldCollector.integerBytes)
    }

    private mutating func begin(_ part: Part, byteCount: Int) {
        current = part
        collector.expect(byteCount)
    }

    private mutating func end(_ state: State) {
        self.state = state
        definition = SocketDefinition(port: 0)
        collector.wipe()
        collector = FieldCollector(expecting: 0)
    }

    private func limit(of field: RegistrationRefusal.Field) -> Int {
        switch field {
        case .address: RegistrationLimits.addressBytes
        case .domainSuffix: RegistrationLimits.domainSuffixBytes
        case .pathPrefix: RegistrationLimits.pathPrefixBytes
        case .certificate, .key: RegistrationLimits.pemBytes
        case .attributeName: RegistrationLimits.attributeBytes
        case .attributeValue: RegistrationLimits.attributeBytes - attributeName.utf8.count
        case .status: preconditionFailure("a registration has no status")
        }
    }
}

/// The text of a field. Texts are compared and matched, so nothing in them is repaired.
func validText(_ bytes: [UInt8], of field: RegistrationRefusal.Field) throws(RegistrationRefusal) -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else {
        throw .notUTF8(field)
    }
    return text
}

/// The byte that says which parts a registration has, in the order of its bits.
struct RegistrationFlags: OptionSet, Sendable {
    let rawValue: UInt8

    static let http = RegistrationFlags(rawValue: 1 << 0)
    static let tls = RegistrationFlags(rawValue: 1 << 1)
    static let attributes = RegistrationFlags(rawValue: 1 << 2)
    static let all: RegistrationFlags = [.http, .tls, .attributes]
}
