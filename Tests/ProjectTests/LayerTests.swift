import Testing

private struct Target {
    let layer: Int
    /// Targets of ours that it may import.
    var ours: Set<String> = []
    /// Modules of the system and of packages that it may import.
    var others: Set<String> = []
}

/// Who may import whom. A new target is entered here first. Nobody has Foundation: it would be most of the program's
/// size, and nothing here needs it.
private let targets: [String: Target] = [
    "CLiburing": Target(layer: 0),
    "CKernel": Target(layer: 0, ours: ["CLiburing"]),
    "CTLS": Target(layer: 0),
    // The kernel's memory is the one thing that it needs of the C library.
    "Memory": Target(layer: 1, others: ["Glibc", "Synchronization"]),
    "HTTP1": Target(layer: 1, others: ["Synchronization"]),
    "Yamux": Target(layer: 1),
    "Registration": Target(layer: 1),
    "Exchanges": Target(layer: 2, ours: ["HTTP1"]),
    "Routing": Target(layer: 2, ours: ["Memory", "Registration"], others: ["Synchronization"]),
    "Reactor": Target(layer: 2, ours: ["CKernel", "Memory"], others: ["Synchronization"]),
    "TLS": Target(layer: 2, ours: ["CTLS", "Memory"]),
    "Proxy": Target(
        layer: 3,
        ours: ["Exchanges", "HTTP1", "Memory", "Reactor", "Registration", "Routing", "TLS", "Yamux"],
        others: ["Glibc", "Synchronization"]
    ),
    "Control": Target(
        layer: 4,
        ours: [
            "CKernel", "Exchanges", "HTTP1", "Memory", "Proxy", "Reactor", "Registration", "Routing", "TLS", "Yamux",
        ],
        others: ["Glibc", "Logging", "Synchronization"]
    ),
    "Observation": Target(
        layer: 5,
        ours: ["CKernel", "Control", "Memory", "Proxy", "Registration", "TLS"],
        others: ["NIOCore", "NIOHTTP1", "NIOPosix"]
    ),
    "socketmaster": Target(
        layer: 6,
        ours: ["Control", "Observation", "Proxy", "Registration"],
        others: ["ArgumentParser", "Glibc", "Logging", "Synchronization"]
    ),
    // The services' side: the protocol's cores and SwiftNIO, nothing of the server.
    "SocketMaster": Target(
        layer: 2,
        ours: ["Registration", "Yamux"],
        others: ["CoreMetrics", "Glibc", "Logging", "NIOCore", "NIOPosix", "ServiceLifecycle", "Synchronization"]
    ),
    "SocketMasterHummingbird": Target(
        layer: 3,
        ours: ["SocketMaster"],
        others: [
            "Glibc", "Hummingbird", "HummingbirdCore", "Logging", "NIOCore", "NIOHTTP1", "NIOPosix",
            "ServiceLifecycle", "Synchronization", "UnixSignals",
        ]
    ),
    "socketmaster-publish": Target(
        layer: 3,
        ours: ["Registration", "SocketMaster"],
        others: ["ArgumentParser", "Dispatch", "Glibc", "Logging", "NIOConcurrencyHelpers", "NIOCore", "NIOPosix"]
    ),
    "Examples": Target(
        layer: 4,
        ours: ["SocketMaster", "SocketMasterHummingbird"],
        others: [
            "Dispatch", "Glibc", "Hummingbird", "HummingbirdCore", "Logging", "NIOCore", "NIOHTTP1", "NIOHTTPTypes",
            "NIOHTTPTypesHTTP1", "NIOPosix", "NIOWebSocket",
        ]
    ),
]

/// The module of a line that imports one, whatever stands before the word.
private func importedModule(_ line: Substring) -> String? {
    var words = line.split(separator: " ").map(String.init)
    let before: Set<String> = ["public", "package", "internal", "fileprivate", "private"]
    while let first = words.first, first.hasPrefix("@") || before.contains(first) { words.removeFirst() }
    guard words.first == "import", words.count > 1 else { return nil }
    let kinds: Set<String> = ["struct", "class", "enum", "protocol", "typealias", "func", "var", "let"]
    let path = kinds.contains(words[1]) && words.count > 2 ? words[2] : words[1]
    return path.split(whereSeparator: { ".;/".contains($0) }).first.map(String.init)
}

@Test func `an import is found whatever stands before it`() {
    let lines = [
        "import Memory", "public import Memory", "@testable import Memory", "@preconcurrency internal import Memory",
        "import struct Memory.Slab", "@_spi(Tests) import Memory  // why", "package import Memory.Submodule",
    ]
    for line in lines { #expect(importedModule(line[...]) == "Memory") }
    for line in ["// import Memory", "important()", "let import_ = 1", ""] { #expect(importedModule(line[...]) == nil) }
}

@Test func `every target has its place in the layers`() {
    let folders = Checkout.current.children(of: "Sources").map { $0.dropFirst("Sources/".count) }
    // What an installation consists of beside the programs is no target.
    for folder in folders where folder != "Packaging" {
        #expect(targets[String(folder)] != nil, "\(folder) is in no layer")
    }
}

@Test func `a target imports only from layers below it`() {
    for (name, target) in targets {
        for module in target.ours where target.layer > 0 {
            let layer = targets[module]?.layer
            #expect(layer != nil && layer! < target.layer, "\(name) may not import \(module)")
        }
    }
}

@Test func `a source imports what its target may`() {
    for (name, target) in targets {
        let allowed = target.ours.union(target.others)
        for file in Checkout.current.swiftFiles(below: "Sources/" + name) {
            for module in file.text.lines.compactMap({ importedModule($0) }) {
                #expect(allowed.contains(module), "\(file.path) imports \(module)")
            }
        }
    }
}

/// The core that knows no kernel is what the client library and the fuzzers use.
@Test func `of the pure layer one file alone needs the C library`() {
    for file in Checkout.current.files where targets[String(file.folder.split(separator: "/").last ?? "")]?.layer == 1 {
        let usesGlibc = file.text.lines.contains { importedModule($0) == "Glibc" }
        #expect(!usesGlibc || file.path == "Sources/Memory/Region.swift", "\(file.path)")
    }
}

@Test func `liburing is seen by CKernel alone`() {
    for file in Checkout.current.files where file.isBelow("Sources") || file.isBelow("Tests") {
        let isAllowed = file.isBelow("Sources/CKernel") || file.isBelow("Sources/CLiburing")
        guard !isAllowed, file.hasSuffix(in: ["swift", "c", "h", "modulemap"]) else { continue }
        for line in file.text.lines {
            #expect(importedModule(line) != "CLiburing", "\(file.path)")
            #expect(!(line.hasPrefix("#include") && line.contains("liburing")), "\(file.path)")
        }
    }
}
