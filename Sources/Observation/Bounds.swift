internal import NIOCore

/// What bounds the service, in one place. What it holds at most: connections times a piece and what a socket takes, a
/// report for each scrape under way, and an event for each stream.
enum Bounds {
    static let connections = 32
    static let streams = 16
    static let headBytes = 16 << 10
    /// From the first byte of a head to its last one; from the beginning for a connection's first head.
    static let head = TimeAmount.seconds(10)
    /// Between two requests.
    static let idle = TimeAmount.seconds(60)
    /// Until the control thread has answered.
    static let report = TimeAmount.seconds(5)
    /// For how long a client may take nothing.
    static let stall = TimeAmount.seconds(30)
    /// Until a client has heard that all is said.
    static let farewell = TimeAmount.seconds(2)
    /// From one event to the next.
    static let event = TimeAmount.seconds(1)
    /// How long a report is given to whoever asks.
    static let reportAge = TimeAmount.milliseconds(200)
    /// What is handed to a socket at once.
    static let pieceBytes = 32 << 10
    /// What the kernel takes of a connection, each way. With more a slow client would seem to take nothing for long.
    static let socketBytes = 64 << 10
    /// What is read at once, and so how much of a pipeline waits.
    static let readBytes = 4 << 10
    static let pipelined = 64
}
