package import NIOCore

/// A connection that the application has initialized, on its way to whoever takes it.
package struct InitializedConnection<Output: Sendable>: Sendable {
    let output: Output
    package let channel: any Channel

    /// Ends it, because nobody will ever take it.
    func abandon() {
        keepUntilClosed()
        channel.triggerUserOutboundEvent(ResetConnection(), promise: nil)
        channel.close(promise: nil)
    }

    /// Keeps what the initializer gave for as long as the channel is open: a `NIOAsyncChannel` that is let go before
    /// that, with nobody having written to its end, ends the process.
    private func keepUntilClosed() {
        // It is reset when nobody has it any more.
        guard !(output is SocketMasterConnection) else { return }
        let output = output
        let eventLoop = channel.eventLoop
        channel.closeFuture.whenComplete { _ in
            // The handlers learn of the end in this turn.
            eventLoop.execute { withExtendedLifetime(output) {} }
        }
    }
}
