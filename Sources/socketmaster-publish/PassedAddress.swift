internal import NIOCore
internal import SocketMaster

/// Looks at the first bytes of a raw connection for a header of the PROXY protocol: a proxy between us and our target
/// has passed on whose connection it is, and it may be one that leads in a circle.
///
/// A header that comes in pieces is not looked for, nor is anything changed or held back.
final class PassedAddress: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let admits: (SocketAddress) -> Bool
    private var isCircle = false

    init(admits: @escaping (SocketAddress) -> Bool) { self.admits = admits }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // What comes behind a reset is nobody's.
        guard !isCircle else { return }
        guard let source = Self.source(unwrapInboundIn(data)), !admits(source) else {
            context.fireChannelRead(data)
            return context.pipeline.syncOperations.removeHandler(self, promise: nil)
        }
        isCircle = true
        context.triggerUserOutboundEvent(ResetConnection(), promise: nil)
    }

    /// The longest header of version 1, its line end included.
    private static let longestLine = 107

    /// Whose connection it is, as a header in front of these bytes says.
    static func source(_ bytes: ByteBuffer) -> SocketAddress? {
        if case .header(let header) = ProxyProtocolHeader.parse(bytes) { return header.source }
        // "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443", with a CRLF.
        let line = bytes.readableBytesView.prefix(longestLine).prefix { $0 != 0x0D }
        guard line.starts(with: "PROXY TCP".utf8), line.count < longestLine else { return nil }
        let words = String(decoding: line, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 6, let port = UInt16(words[4]) else { return nil }
        return try? SocketAddress(ipAddress: String(words[2]), port: Int(port))
    }
}
