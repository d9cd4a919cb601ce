import NIOCore

/// The options of a connection's channel, those of a socket that mean something without one.
struct StreamOptions {
    var autoRead = true
    var allowsHalfClosure = false
    /// Bytes written by the application and not sent yet, at which a channel stops and begins again to be writable.
    var waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 64 << 10, high: 128 << 10)
}

extension StreamChannel {
    func set<Option: ChannelOption>(_ option: Option, to value: Option.Value) throws {
        switch value {
        case let value as Bool where option is ChannelOptions.Types.AutoReadOption:
            options.autoRead = value
            if value, phase == .active, !isReadPending { pipeline.read() }
        case let value as Bool where option is ChannelOptions.Types.AllowRemoteHalfClosureOption:
            options.allowsHalfClosure = value
        case let value as ChannelOptions.Types.WriteBufferWaterMark:
            options.waterMark = value
            updateWritability()
        case is UInt where option is ChannelOptions.Types.MaxMessagesPerReadOption:
            // A read gives what is there, within a bound of its own.
            break
        case is SocketOptionValue where isNoDelay(option):
            // There is nothing here that delays.
            break
        default: throw ChannelError.operationUnsupported
        }
    }

    func get<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
        let value: any Sendable
        switch option {
        case is ChannelOptions.Types.AutoReadOption: value = options.autoRead
        case is ChannelOptions.Types.AllowRemoteHalfClosureOption: value = options.allowsHalfClosure
        case is ChannelOptions.Types.WriteBufferWaterMarkOption: value = options.waterMark
        case is ChannelOptions.Types.BufferedWritableBytesOption: value = outbound.byteCount
        case is ChannelOptions.Types.AllocatorOption: value = allocator
        case is ChannelOptions.Types.MaxMessagesPerReadOption: value = UInt(1)
        case _ where isNoDelay(option): value = SocketOptionValue(1)
        default: throw ChannelError.operationUnsupported
        }
        guard let value = value as? Option.Value else { throw ChannelError.operationUnsupported }
        return value
    }

    private func isNoDelay<Option: ChannelOption>(_ option: Option) -> Bool {
        (option as? ChannelOptions.Types.SocketOption) == .init(level: .tcp, name: .tcp_nodelay)
    }
}

/// The options for who is on the event loop already.
struct SynchronousStreamOptions: NIOSynchronousChannelOptions {
    let channel: StreamChannel

    func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) throws {
        channel.eventLoop.preconditionInEventLoop()
        try channel.set(option, to: value)
    }

    func getOption<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
        channel.eventLoop.preconditionInEventLoop()
        return try channel.get(option)
    }
}
