import Testing

/// Where memory is touched by address. The data plane and what it is made of do so everywhere; elsewhere it is fenced
/// in these files, each of which says why it is right.
private let everywhere: Set<String> = ["Memory", "Reactor", "Proxy", "HTTP1"]
private let fenced: [String: Set<String>] = [
    // Pieces of bodies, handed on to the readers of HTTP1.
    "Exchanges": ["ExchangeState+Reply.swift", "ExchangeState+Request.swift"],
    "Registration": ["FieldCollector.swift"],
    "Yamux": ["Breach.swift", "FrameHeader.swift", "FrameReader.swift"],
    "Routing": [
        "KeyBytes.swift", "Snapshot.swift", "Snapshot+Matching.swift", "SnapshotContents+Assembly.swift",
        "SnapshotMailbox.swift",
    ],
    "TLS": ["Digest.swift", "Identity.swift", "IdentityTable.swift", "LibraryReason.swift", "TLSEngine.swift"],
    "Control": [
        "ControlLock.swift", "ControlSocket.swift", "ControlThread+Registrations.swift",
        "ControlThread+Sessions.swift", "Epoll.swift", "KernelText.swift", "ListenerSockets.swift",
    ],
    "SocketMaster": ["AbstractSocket.swift", "ConnectReason.swift", "SessionHandler+Receive.swift"],
    // System calls that Swift has in no other form.
    "socketmaster-publish": [
        "Command.swift", "Definitions.swift", "Failure.swift", "Flags.swift", "Host.swift", "Log.swift",
        "Signals.swift", "StandardStreams.swift",
    ],
]

/// What several threads hold at once, against what the compiler can see. Each has an argument in its comment.
private let shared: Set<String> = [
    "BlockPool.swift", "Identity.swift", "IdentityTable.swift", "MessageQueue.swift", "SecretBytes.swift",
    "SharedWords.swift", "Snapshot.swift", "SnapshotMailbox.swift",
    "TLSEngine.swift",
    // Each belongs to an event loop.
    "ListenerChannel.swift", "SessionPool.swift", "StreamChannel.swift",
]

@Test func `unsafe code is fenced`() {
    for file in Checkout.current.swiftFiles(below: "Sources") {
        let target = String(file.path.split(separator: "/")[1])
        guard !everywhere.contains(target) else { continue }
        let isUnsafe = SourceText(file.text, .swift).lines.contains { $0.contains(word: "unsafe") }
        let isAllowed = fenced[target]?.contains(file.name) ?? false
        #expect(!isUnsafe || isAllowed, "\(file.path) is unsafe")
    }
}

@Test func `what the compiler cannot prove about threads is named here`() {
    for file in Checkout.current.swiftFiles(below: "Sources") {
        let lines = SourceText(file.text, .swift).lines
        let isUnproven = lines.contains { $0.contains("@unchecked Sendable") || $0.contains("nonisolated(unsafe)") }
        #expect(!isUnproven || shared.contains(file.name), "\(file.path)")
    }
}

/// What a peer can cause is a value. The log goes to standard error by way of the control plane.
@Test func `the program neither gives up in passing nor prints`() {
    for file in Checkout.current.swiftFiles(below: "Sources") {
        for (number, line) in SourceText(file.text, .swift).lines.enumerated() {
            let isWrong = line.contains("try!") || line.contains("fatalError(") || line.contains(word: "print(")
            #expect(!isWrong, "\(file.path):\(number + 1)")
        }
    }
}

@Test func `checks stay in the program`() {
    let manifest = Checkout.current.files.first { $0.path == "Package.swift" }?.text ?? ""
    #expect(manifest.contains("strictMemorySafety"))
    #expect(!manifest.contains("Ounchecked") && !manifest.contains("enforce-exclusivity"))
}
