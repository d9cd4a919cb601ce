extension RequestHead {
    /// Bytes that an edited head may have more than the head that was scanned: two more times the authority (at most
    /// 262 bytes), the client's address, and the names and fixed values of the fields that are set.
    public static var editedHeadSlack: Int { @_noLocks get { 768 } }

    /// Bytes of the longest host that a request without one is completed with; less than an authority's.
    public static var longestLocalHost: Int { @_noLocks get { 64 } }

    /// Writes the head as it goes on to the service.
    ///
    /// The version is always HTTP/1.1, and an absolute target goes on in origin-form (RFC 9112 §3.2.1), or as `*` if it
    /// asks for the options of a whole host (§3.2.4): what a service gets that is no proxy. Fields that are meant for
    /// us go no further: Connection and what it names, Keep-Alive, Proxy-Connection, Proxy-Authenticate,
    /// Proxy-Authorization but for CONNECT's, whose proxy the service is, TE but for `trailers`, Upgrade unless
    /// ``isUpgrade`` and always its `h2c` (RFC 9110 §7.6.1). Max-Forwards of OPTIONS and TRACE is one less (§7.6.2).
    /// X-Forwarded-For, -Proto and -Host are set; what a trusted client said in them is appended to and kept. The
    /// authority of an absolute target or of CONNECT's replaces Host (RFC 9112 §3.2.2), and a request without Host,
    /// which HTTP/1.0 allows and HTTP/1.1 does not, is completed.
    ///
    /// - Parameters:
    ///   - bytes: what was scanned.
    ///   - forwarding: the client that the service is told of.
    ///   - host: what Host says if ``lacksHost``: the address and port that the client came to, at most
    ///     ``longestLocalHost`` bytes. If it is empty, Host is empty, too.
    ///   - destination: at least `byteCount + editedHeadSlack` bytes; does not overlap `bytes`.
    /// - Returns: the bytes written.
    /// - Precondition: the head is complete.
    @_noLocks
    public func writeEdited(
        from bytes: UnsafeRawBufferPointer, forwarding: borrowing Forwarding,
        host: UnsafeRawBufferPointer = unsafe UnsafeRawBufferPointer(start: nil, count: 0),
        to destination: UnsafeMutableRawBufferPointer
    ) -> Int {
        precondition(byteCount > 0 && bytes.count >= byteCount, "a head is edited when it is complete")
        precondition(destination.count >= byteCount &+ Self.editedHeadSlack, "an edited head has room")
        guard let padded = unsafe PaddedBytes(bytes) else { return 0 }
        var writer = unsafe ByteWriter(destination)
        let keepsStart = minorVersion > 0 && line.authority.isEmpty
        if keepsStart {
            writer.append(padded, from: methodName.lowerBound, to: line.versionEnd &- 1)
            writer.append(Ascii.zero &+ 1)
        } else {
            unsafe writeOtherStart(padded, host, &writer)
        }
        let replacesHost = !keepsStart && (!line.authority.isEmpty || lacksHost && host.count > 0)
        writeKeptFields(padded, isTrusted: forwarding.isTrusted, replacesHost: replacesHost, &writer)
        writeOwnFields(padded, forwarding, &writer)
        writer.append("\r\n")
        return writer.count
    }

    /// Writes a request line whose target or version changes, and Host where it is not the client's. The CRLF after
    /// them follows with the fields.
    @inline(never)
    private func writeOtherStart(
        _ bytes: PaddedBytes, _ host: UnsafeRawBufferPointer, _ writer: inout ByteWriter
    ) {
        writer.append(bytes, from: methodName.lowerBound, to: target.lowerBound)
        writeTarget(bytes, &writer)
        writer.append(" HTTP/1.1")
        if !line.authority.isEmpty {
            writer.append("\r\nHost: ")
            writer.append(bytes, line.authority)
        } else if lacksHost, host.count > 0 {
            precondition(host.count <= Self.longestLocalHost, "a local host is an address and a port")
            writer.append("\r\nHost: ")
            unsafe writer.append(host)
        } else if !fields.findings.hasHost {
            writer.append("\r\nHost:")
        }
    }

    /// Writes the target without the authority that Host repeats.
    @_noLocks private func writeTarget(_ bytes: PaddedBytes, _ writer: inout ByteWriter) {
        if line.authority.isEmpty || method == .connect { return writer.append(bytes, target) }
        let hasPath = line.pathStart < target.upperBound && bytes[line.pathStart] == Ascii.slash
        if line.pathStart == target.upperBound && method == .options {
            writer.append(Ascii.asterisk)
        } else if !hasPath {
            writer.append(Ascii.slash)
        }
        writer.append(bytes, from: line.pathStart, to: target.upperBound)
    }

    /// Writes the runs of lines between those that are left out.
    private func writeKeptFields(
        _ bytes: PaddedBytes, isTrusted: Bool, replacesHost: Bool, _ writer: inout ByteWriter
    ) {
        var kept = line.versionEnd
        var lines = EditableLines(fields)
        while let line = lines.next(fields, in: bytes) {
            if !leavesOut(line.kind, isTrusted: isTrusted, replacesHost: replacesHost) { continue }
            writer.append(bytes, from: kept, to: Int(line.start))
            kept = Int(line.end)
        }
        writer.append(bytes, from: kept, to: Int(fields.findings.end) &- 2)
    }

    @_noLocks private func leavesOut(_ kind: FieldKind, isTrusted: Bool, replacesHost: Bool) -> Bool {
        switch kind {
        case .connection, .keepAlive, .proxyConnection, .proxyAuthenticate: true
        case .named, .repeatedLength, .maxForwards, .trailerCodings, .forwardedFor: true
        case .proxyAuthorization: method != .connect
        case .forwardedProto, .forwardedHost: !isTrusted
        case .upgrade: !isUpgrade || fields.findings.upgradesToHTTP2
        case .host: replacesHost
        // Sent on as HTTP/1.1 it would call forth a 100 that an HTTP/1.0 client does not understand.
        case .expect: minorVersion == 0
        case .contentLength, .transferEncoding, .folded, .date, .loopMarks, .ordinary: false
        }
    }

    private func writeOwnFields(
        _ bytes: PaddedBytes, _ forwarding: borrowing Forwarding, _ writer: inout ByteWriter
    ) {
        if isUpgrade { writeUpgrade(bytes, &writer) }
        if fields.findings.acceptsTrailers { writer.append("TE: trailers\r\n") }
        if fields.findings.maxForwards > 0 { writeMaxForwards(&writer) }
        writeForwardedFor(bytes, forwarding, &writer)
        let isTrusted = forwarding.isTrusted
        if !isTrusted || !fields.findings.hasForwardedProto {
            writer.append("X-Forwarded-Proto: http")
            writer.append(forwarding.isTLS ? "s\r\n" : "\r\n")
        }
        if forwarding.loopMark != 0 { forwarding.writeLoopMark(to: &writer) }
        let authority = line.authority.isEmpty ? fields.findings.hostField : line.authority
        if !authority.isEmpty && (!isTrusted || !fields.findings.hasForwardedHost) {
            writer.append("X-Forwarded-Host: ")
            writer.append(bytes, authority)
            writer.append("\r\n")
        }
    }

    /// Writes Connection, and the protocols that are left of Upgrade if one of them may not go on.
    @_noLocks @inline(never) private func writeUpgrade(_ bytes: PaddedBytes, _ writer: inout ByteWriter) {
        if fields.findings.upgradesToHTTP2 {
            writer.append("Upgrade: ")
            let valueStart = writer.count
            var lines = EditableLines(fields)
            while let line = lines.next(fields, in: bytes) {
                if line.kind != .upgrade { continue }
                var list = ListCursor(line.value(in: bytes))
                while let member = list.next(in: bytes) {
                    if bytes.isClearTextHTTP2(member) { continue }
                    // No more bytes than the client's own separators, which may lack the blank.
                    if writer.count > valueStart { writer.append(Ascii.comma) }
                    if bytes[member.lowerBound &- 1] == Ascii.space && writer.count > valueStart {
                        writer.append(Ascii.space)
                    }
                    writer.append(bytes, member)
                }
            }
            writer.append("\r\n")
        }
        writer.append("Connection: Upgrade\r\n")
    }

    @_noLocks @inline(never) private func writeMaxForwards(_ writer: inout ByteWriter) {
        writer.append("Max-Forwards: ")
        writer.append(decimal: fields.findings.maxForwards &- 1)
        writer.append("\r\n")
    }

    /// Joins the lines of a trusted client in their order, and appends the client itself.
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
