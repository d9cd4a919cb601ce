/// How a reply's head is to be changed for its client.
@frozen public struct ResponseEdit: Sendable {
    /// Whether the client's connection ends with the reply.
    public var close: Bool
    /// The minor version that the client speaks. A client of HTTP/1.0 gets chunked bodies decoded.
    public var clientMinorVersion: UInt8

    @_noLocks @inlinable public init(close: Bool, clientMinorVersion: UInt8) {
        self.close = close
        self.clientMinorVersion = clientMinorVersion
    }
}

extension ResponseHead {
    /// Bytes that an edited head may have more than the head that was scanned.
    public static var editedHeadSlack: Int { @_noLocks get { 128 } }

    /// Writes the head as it goes on to the client.
    ///
    /// The version is always HTTP/1.1 (RFC 9110 §2.5: it tells what we speak). Fields that are meant for us go no
    /// further; neither does a framing that the reply cannot have (RFC 9110 §8.6, RFC 9112 §6.1): 1xx, 204 and 2xx to
    /// CONNECT have no body. 101 and 426 keep Upgrade, 407 keeps Proxy-Authenticate: what the two ends of a hop that we
    /// relay say to each other (RFC 9110 §11.7.1, §15.5.22). A client of HTTP/1.0 gets no Transfer-Encoding, and is
    /// told if it is kept.
    ///
    /// A reply without Date gets one: a recipient that has a clock adds it (RFC 9110 §6.6.1). 1xx needs none.
    ///
    /// - Parameters:
    ///   - bytes: what was scanned.
    ///   - edit: what the client is told about its connection. Heads that are not the last of their reply, and those
    ///     that end HTTP on the connection, do not tell it.
    ///   - date: what ``HTTPDate`` says now; if it is empty, nothing is added.
    ///   - destination: at least `byteCount + editedHeadSlack` bytes; does not overlap `bytes`.
    /// - Returns: the bytes written.
    /// - Precondition: the head is complete.
    @_noLocks
    public func writeEdited(
        from bytes: UnsafeRawBufferPointer, edit: ResponseEdit,
        date: UnsafeRawBufferPointer = unsafe UnsafeRawBufferPointer(start: nil, count: 0),
        to destination: UnsafeMutableRawBufferPointer
    ) -> Int {
        precondition(byteCount > 0 && bytes.count >= byteCount, "a head is edited when it is complete")
        precondition(destination.count >= byteCount &+ Self.editedHeadSlack, "an edited head has room")
        guard let padded = unsafe PaddedBytes(bytes) else { return 0 }
        var writer = unsafe ByteWriter(destination)
        writer.append("HTTP/1.1")
        writer.append(padded, from: versionEnd, to: versionEnd &+ 4)
        // RFC 9112 §4: the space behind the status stays even if there is no reason.
        if padded[versionEnd &+ 4] != Ascii.space { writer.append(Ascii.space) }
        writeKeptFields(padded, edit, &writer)
        if status < 200 {
            if isSwitching { writer.append("Connection: Upgrade\r\n") }
        } else if !isTunnel && (edit.close || edit.clientMinorVersion == 0 || status == 426) {
            writeConnection(edit, &writer)
        }
        if !fields.findings.keepsDate { unsafe writeDate(date, &writer) }
        writer.append("\r\n")
        return writer.count
    }

    @inline(never)
    private func writeDate(_ date: UnsafeRawBufferPointer, _ writer: inout ByteWriter) {
        if date.count == 0 || status < 200 { return }
        precondition(date.count == HTTPDate.byteCount, "a date is written by HTTPDate")
        writer.append("Date: ")
        unsafe writer.append(date)
        writer.append("\r\n")
    }

    /// Tells a client whether its connection is kept where it would think otherwise, and that 426 has an Upgrade field.
    @_noLocks @inline(never) private func writeConnection(_ edit: ResponseEdit, _ writer: inout ByteWriter) {
        let tellsUpgrade = status == 426 && (fields.findings.hasUpgrade || fields.findings.upgradesToHTTP2)
        let tellsEnd = edit.close || edit.clientMinorVersion == 0
        if !tellsUpgrade && !tellsEnd { return }
        writer.append("Connection: ")
        if tellsUpgrade { writer.append(tellsEnd ? "Upgrade, " : "Upgrade") }
        if tellsEnd { writer.append(edit.close ? "close" : "keep-alive") }
        writer.append("\r\n")
    }

    /// Writes the reason, and the runs of lines between those that are left out.
    @_noLocks private func writeKeptFields(_ bytes: PaddedBytes, _ edit: ResponseEdit, _ writer: inout ByteWriter) {
        var kept = versionEnd &+ 4
        var lines = EditableLines(fields)
        while let line = lines.next(fields, in: bytes) {
            if !leavesOut(line.kind, edit) { continue }
            writer.append(bytes, from: kept, to: Int(line.start))
            kept = Int(line.end)
        }
        writer.append(bytes, from: kept, to: Int(fields.findings.end) &- 2)
    }

    @_noLocks private func leavesOut(_ kind: FieldKind, _ edit: ResponseEdit) -> Bool {
        switch kind {
        case .connection, .keepAlive, .proxyConnection, .proxyAuthorization: true
        case .named, .repeatedLength, .trailerCodings: true
        case .proxyAuthenticate: status != 407
        case .upgrade: !isSwitching && status != 426
        case .contentLength: hasNoFraming
        case .transferEncoding: hasNoFraming || edit.clientMinorVersion == 0
        case .host, .expect, .forwardedFor, .forwardedProto, .forwardedHost, .folded, .date, .maxForwards: false
        case .loopMarks, .ordinary: false
        }
    }

    /// Whether the reply cannot have a body, not even one that is left out as for HEAD.
    private var hasNoFraming: Bool { @_noLocks get { status < 200 || status == 204 || isTunnel } }
}
