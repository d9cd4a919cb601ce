/// What a service hears after its registration: `OK`, or a sentence that says why not.
public struct RegistrationResponse: Hashable, Sendable {
    /// `OK` or a sentence.
    public var status: String
    /// Sent if and only if the service has sent attributes itself, others would take them for the session's bytes.
    public var attributes: [String: String]?

    public init(status: String, attributes: [String: String]? = nil) {
        self.status = status
        self.attributes = attributes
    }

    /// The status of a registration that stands.
    public static let acceptedStatus = "OK"

    public var isAccepted: Bool { status == Self.acceptedStatus }

    /// The response in one piece, to be sent in one piece: the original's client takes the length with a single read.
    public func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(field: status.utf8)
        if let attributes {
            bytes.append(map: attributes)
        }
        return bytes
    }
}

/// Reads one response on the side of the service, in whatever pieces it arrives. Call `receive` until `state` is no
/// longer `.needsMore`; bytes behind an accepting response are not consumed, they are the first of the session.
public struct RegistrationResponseDecoder: Sendable {
    public enum State: Sendable, Equatable {
        case needsMore
        /// The response is there. One that does not accept has no attributes: it may have been given before the
        /// flags were read, and after it there is nothing but the end of the connection.
        case complete(RegistrationResponse)
        /// What arrives is no response.
        case broken(RegistrationRefusal)
    }

    public private(set) var state = State.needsMore

    private let expectsAttributes: Bool
    private var collector = FieldCollector(expecting: FieldCollector.integerBytes)
    private var current = Part.length(.status)
    private var response = RegistrationResponse(status: "")
    private var attributesLeft = 0
    private var attributeName = ""

    /// Whether the status has come and is `OK`. If it has and the attributes do not follow, they never will: the proxy
    /// does not know of them.
    public var isAccepted: Bool { response.isAccepted }

    /// - Parameter expectsAttributes: whether the registration had attributes, be it none.
    public init(expectsAttributes: Bool) {
        self.expectsAttributes = expectsAttributes
    }

    /// Takes as many of the bytes as belong to the response, and returns how many those were.
    public mutating func receive(_ bytes: Span<UInt8>) -> Int {
        var offset = 0
        while case .needsMore = state {
            offset += collector.collect(bytes, from: offset)
            guard collector.isFull else { break }
            finishPart()
        }
        return offset
    }

    private enum Part {
        case length(RegistrationRefusal.Field)
        case content(RegistrationRefusal.Field)
        case attributeCount
    }

    private mutating func finishPart() {
        do throws(RegistrationRefusal) {
            switch current {
            case .length(let field): try finishLength(of: field)
            case .content(let field): try finishContent(of: field)
            case .attributeCount: try finishAttributeCount()
            }
        } catch {
            state = .broken(error)
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
        let text = try validText(collector.take(), of: field)
        switch field {
        case .status:
            response.status = text
            if response.isAccepted && expectsAttributes {
                begin(.attributeCount, byteCount: FieldCollector.integerBytes)
            } else {
                state = .complete(response)
            }
        case .attributeName:
            attributeName = text
            begin(.length(.attributeValue), byteCount: FieldCollector.integerBytes)
        default:
            response.attributes?[attributeName] = text
            attributesLeft -= 1
            beginAttribute()
        }
    }

    private mutating func finishAttributeCount() throws(RegistrationRefusal) {
        let count = collector.takeInteger()
        guard (0...RegistrationLimits.attributes).contains(count) else {
            throw .attributeCount(announced: count)
        }
        response.attributes = [:]
        attributesLeft = count
        beginAttribute()
    }

    private mutating func beginAttribute() {
        if attributesLeft > 0 {
            begin(.length(.attributeName), byteCount: FieldCollector.integerBytes)
        } else {
            state = .complete(response)
        }
    }

    private mutating func begin(_ part: Part, byteCount: Int) {
        current = part
        collector.expect(byteCount)
    }

    private func limit(of field: RegistrationRefusal.Field) -> Int {
        switch field {
        case .status: RegistrationLimits.statusBytes
        case .attributeName: RegistrationLimits.attributeBytes
        default: RegistrationLimits.attributeBytes - attributeName.utf8.count
        }
    }
}
