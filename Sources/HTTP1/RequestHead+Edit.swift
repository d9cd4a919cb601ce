extension RequestHead {
    /// Bytes that an edited head may have more than the head that was scanned: two more times the authority (at most
    /// 262 bytes), the client's address, and the names and fixed values of the fields that are set.
    public static var editedHeadSlack: Int { @_noLocks get { 768 } }

    /// Writes the head as it goes on to the service.
    ///
    /// The request line stays as it is but for its version, which is always HTTP/1.1. Fields that are meant for us go
    /// no further: Connection and what it names, Keep-Alive, Proxy-Connection, Proxy-Authenticate, Proxy-Authorization,
    /// TE but for `trailers`, Upgrade unless ``isUpgrade`` (RFC 9110 §7.6.1). X-Forwarded-For, -Proto and -Host are
    /// set; what a trusted client said in them is appended to and kept. The authority of an absolute target replaces
    /// Host (RFC 9112 §3.2.2), and a request without Host, which HTTP/1.0 allows and HTTP/1.1 does not, goes on with an
    /// empty one.
    ///
    /// - Parameters:
    ///   - bytes: what was scanned.
    ///   - forwarding: the client that the service is told of.
    ///   - destination: at least `byteCount + editedHeadSlack` bytes; does not overlap `bytes`.
    /// - Returns: the bytes written.
    /// - Precondition: the head is complete.
    @_noLocks
    public func writeEdited(
        from bytes: UnsafeRawBufferPointer, forwarding: borrowing Forwarding,
        to destination: UnsafeMutableRawBufferPointer
    ) -> Int {
        precondition(byteCount > 0 && bytes.count >= byteCount, "a head is edited when it is complete")
        precondition(destination.count >= byteCount &+ Self.editedHeadSlack, "an edited head has room")
        guard let padded = unsafe PaddedBytes(bytes) else { return 0 }
        var writer = unsafe ByteWriter(destination)
        writeRequestLine(padded, &writer)
        writeKeptFields(padded, isTrusted: forwarding.isTrusted, &writer)
        writeOwnFields(padded, forwarding, &writer)
        writer.append("\r\n")
        return writer.count
    }

    /// Writes the request line, and Host where it is not the client's. The CRLF after them follows with the fields.
    @_noLocks private func writeRequestLine(_ bytes: PaddedBytes, _ writer: inout ByteWriter) {
        writer.append(bytes, from: methodName.lowerBound, to: line.versionEnd &- 1)
        writer.append(Ascii.zero &+ 1)
        if !line.authority.isEmpty {
            writer.append("\r\nHost: ")
            writer.append(bytes, line.authority)
        } else if !fields.findings.hasHost {
            writer.append("\r\nHost:")
        }
    }

    /// Writes the runs of lines between those that are left out.
    @_noLocks private func writeKeptFields(_ bytes: PaddedBytes, isTrusted: Bool, _ writer: inout ByteWriter) {
        var kept = line.versionEnd
        var lines = EditableLines(fields)
        while let line = lines.next(fields, in: bytes) {
            if !leavesOut(line.kind, isTrusted: isTrusted) { continue }
            writer.append(bytes, from: kept, to: Int(line.start))
            kept = Int(line.end)
        }
        writer.append(bytes, from: kept, to: Int(fields.findings.end) &- 2)
    }

    @_noLocks private func leavesOut(_ kind: FieldKind, isTrusted: Bool) -> Bool {
        switch kind {
        case .connection, .keepAlive, .proxyConnection, .proxyAuthenticate, .proxyAuthorization: true
        case .named, .repeatedLength, .trailerCodings, .forwardedFor: true
        case .forwardedProto, .forwardedHost: !isTrusted
        case .upgrade: !isUpgrade
        case .host: !line.authority.isEmpty
        // Sent on as HTTP/1.1 it would call forth a 100 that an HTTP/1.0 client does not understand.
        case .expect: minorVersion == 0
        case .contentLength, .transferEncoding, .folded, .ordinary: false
        }
    }

    @_noLocks
    private func writeOwnFields(
        _ bytes: PaddedBytes, _ forwarding: borrowing Forwarding, _ writer: inout ByteWriter
    ) {
        if isUpgrade { writer.append("Connection: Upgrade\r\n") }
        if fields.findings.acceptsTrailers { writer.append("TE: trailers\r\n") }
        writeForwardedFor(bytes, forwarding, &writer)
        let isTrusted = forwarding.isTrusted
        if !isTrusted || !fields.findings.hasForwardedProto {
            writer.append("X-Forwarded-Proto: http")
            writer.append(forwarding.isTLS ? "s\r\n" : "\r\n")
        }
        let authority = line.authority.isEmpty ? fields.findings.hostField : line.authority
        if !authority.isEmpty && (!isTrusted || !fields.findings.hasForwardedHost) {
            writer.append("X-Forwarded-Host: ")
            writer.append(bytes, authority)
            writer.append("\r\n")
        }
    }

    /// Joins the lines of a trusted client in their order, and appends the client itself.
    @_noLocks
    private func writeForwardedFor(
        _ bytes: PaddedBytes, _ forwarding: borrowing Forwarding, _ writer: inout ByteWriter
    ) {
        let start = writer.count
        writer.append("X-Forwarded-For: ")
        let valueStart = writer.count
        if forwarding.isTrusted && fields.findings.hasForwardedFor {
            var lines = EditableLines(fields)
            while let line = lines.next(fields, in: bytes) {
                let value = line.value(in: bytes)
                if line.kind != .forwardedFor || value.isEmpty { continue }
                if writer.count > valueStart { writer.append(", ") }
                writer.append(bytes, value)
            }
        }
        if forwarding.hasAddress {
            if writer.count > valueStart { writer.append(", ") }
            forwarding.appendAddress(to: &writer)
        }
        if writer.count == valueStart { writer.truncate(to: start) } else { writer.append("\r\n") }
    }
}
