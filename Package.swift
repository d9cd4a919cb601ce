// swift-tools-version: 6.2
import PackageDescription

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "CoreMetrics", package: "swift-metrics")
let metricsTestKit = Target.Dependency.product(name: "MetricsTestKit", package: "swift-metrics")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioConcurrencyHelpers = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let serviceLifecycle = Target.Dependency.product(
    name: "ServiceLifecycle", package: "swift-service-lifecycle", condition: .when(traits: ["ServiceLifecycle"]))
let unixSignals = Target.Dependency.product(
    name: "UnixSignals", package: "swift-service-lifecycle", condition: .when(traits: ["ServiceLifecycle"]))
let hummingbird = Target.Dependency.product(
    name: "Hummingbird", package: "hummingbird", condition: .when(traits: ["Hummingbird"]))

// Whether somebody else's package depends on this one. While SwiftPM chooses versions, a manifest is in no folder.
let isDependency = Context.packageDirectory.count <= 1 || Context.packageDirectory.contains("/checkouts/")

// BoringSSL is an internal module of swift-nio-ssl, which promises nothing about it: it has changed in a patch release.
// `make tls-update-check` looks whether the newest one will do. A package that depends on the library builds nothing of
// it, and is free to choose.
let isPinned = Context.environment["SOCKETMASTER_NEWEST_TLS"] == nil && !isDependency
let nioSSLPackage: Package.Dependency =
    isPinned
    ? .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6")
    : .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6")

// A second kind of services, in memory, with which the tests show where one is added. Release builds have none.
let secondKind = SwiftSetting.define("SECOND_KIND", .when(configuration: .debug))

let package = Package(
    name: "socketmaster",
    products: [
        .executable(name: "socketmaster", targets: ["socketmaster"]),
        .executable(name: "socketmaster-publish", targets: ["socketmaster-publish"]),
        // Services in Swift. Whoever depends on the first builds neither the programs nor Hummingbird.
        .library(name: "SocketMaster", targets: ["SocketMaster"]),
        .library(name: "SocketMasterHummingbird", targets: ["SocketMasterHummingbird"]),
        // For Benchmarks alone, which is a package of its own. No API that anybody else should use.
        .library(name: "_Cores", targets: ["HTTP1", "Memory", "Registration", "Routing", "Yamux"]),
    ],
    traits: [
        .trait(
            name: "Hummingbird", description: "`app.serve(on:)`, in SocketMasterHummingbird",
            enabledTraits: ["ServiceLifecycle"]),
        .trait(name: "ServiceLifecycle", description: "listeners are services of swift-service-lifecycle"),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        nioSSLPackage,
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
    ],
    targets: [
        // Layer 0: the kernel, by way of liburing and GNU calls.
        .systemLibrary(name: "CLiburing", pkgConfig: "liburing", providers: [.apt(["liburing-dev"])]),
        .target(name: "CKernel", dependencies: ["CLiburing"], linkerSettings: [.linkedLibrary("uring")]),
        // Layer 0: BoringSSL, which swift-nio-ssl brings along.
        .target(name: "CTLS", dependencies: [nioSSL]),
        // Layer 1: pure cores. Bytes and time come in, actions come out.
        .target(name: "Memory"),
        .target(name: "HTTP1"),
        .target(name: "Yamux"),
        .target(name: "Registration"),
        // Layer 2: how a request with its reply goes on, the routing table, one thread's ring, TLS over buffers.
        .target(name: "Exchanges", dependencies: ["HTTP1"]),
        .target(name: "Routing", dependencies: ["Registration"]),
        .target(name: "Reactor", dependencies: ["CKernel", "Memory"]),
        .target(name: "TLS", dependencies: ["CTLS", "Memory"]),
        // Layer 3: the data plane.
        .target(
            name: "Proxy", dependencies: ["Exchanges", "HTTP1", "Memory", "Reactor", "Routing", "TLS", "Yamux"],
            swiftSettings: [secondKind]),
        // Layer 4: the control plane.
        .target(
            name: "Control",
            dependencies: [
                "CKernel", "Exchanges", "Memory", "Proxy", "Reactor", "Registration", "Routing", "TLS", "Yamux",
                logging,
            ]),
        // Layer 5: what monitoring systems and people look at, over HTTP.
        .target(
            name: "Observation",
            dependencies: [
                "CKernel", "Control", "Memory", "Proxy", "Registration", "TLS", nioCore, nioHTTP1, nioPosix,
            ],
            resources: [.embedInCode("Page/page.html")]),
        // Layer 6: the program.
        .executableTarget(
            name: "socketmaster", dependencies: ["Control", "Observation", "Registration", argumentParser]),
        // The side of the services: a library on SwiftNIO, and what is built on it.
        .target(
            name: "SocketMaster",
            dependencies: ["Registration", "Yamux", logging, metrics, nioCore, nioPosix, serviceLifecycle]),
        .target(
            name: "SocketMasterHummingbird",
            dependencies: [
                "SocketMaster", hummingbird, serviceLifecycle, unixSignals,
                .product(name: "NIOHTTP1", package: "swift-nio", condition: .when(traits: ["Hummingbird"])),
            ],
            // Who wants this module and has forgotten the trait is told so. Here it is empty without it.
            swiftSettings: isDependency ? [.define("DEPENDENCY")] : []),
        .executableTarget(
            name: "socketmaster-publish",
            dependencies: [
                "Registration", "SocketMaster", argumentParser, logging, nioConcurrencyHelpers, nioCore, nioPosix,
            ]),
        // Services to read, and to run in the tests.
        .executableTarget(
            name: "example-http", dependencies: ["SocketMaster", nioCore, nioHTTP1], path: "Sources/Examples/http"),
        .executableTarget(
            name: "example-raw-echo", dependencies: ["SocketMaster", nioCore], path: "Sources/Examples/raw-echo"),
        .executableTarget(
            name: "example-connections", dependencies: ["SocketMaster"], path: "Sources/Examples/connections"),
        .executableTarget(
            name: "example-hummingbird-a", dependencies: ["SocketMaster", "SocketMasterHummingbird", hummingbird],
            path: "Sources/Examples/hummingbird-a"),
        .executableTarget(
            name: "example-hummingbird-b", dependencies: ["SocketMaster", "SocketMasterHummingbird", hummingbird],
            path: "Sources/Examples/hummingbird-b"),
        .executableTarget(
            name: "example-hummingbird-c",
            dependencies: [
                "SocketMaster", "SocketMasterHummingbird", hummingbird, logging, nioCore, nioHTTP1, nioPosix,
                .product(name: "NIOWebSocket", package: "swift-nio", condition: .when(traits: ["Hummingbird"])),
                .product(
                    name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras", condition: .when(traits: ["Hummingbird"])),
            ],
            path: "Sources/Examples/hummingbird-c"),
        // Applications that are refused, for `make test-hummingbird`.
        .executableTarget(
            name: "test-hummingbird-refused",
            dependencies: [
                "SocketMaster", "SocketMasterHummingbird", hummingbird, logging,
                .product(name: "NIOSSL", package: "swift-nio-ssl", condition: .when(traits: ["Hummingbird"])),
                .product(name: "HummingbirdHTTP2", package: "hummingbird", condition: .when(traits: ["Hummingbird"])),
                .product(name: "HummingbirdTLS", package: "hummingbird", condition: .when(traits: ["Hummingbird"])),
            ],
            path: "Tests/EndToEnd/hummingbird-refused"),
        .target(name: "TestSupport", path: "Tests/TestSupport"),
        .testTarget(name: "MemoryTests", dependencies: ["Memory", "TestSupport"]),
        .testTarget(name: "HTTP1Tests", dependencies: ["HTTP1", "TestSupport"]),
        .testTarget(name: "ExchangesTests", dependencies: ["Exchanges", "HTTP1", "TestSupport"]),
        .testTarget(name: "YamuxTests", dependencies: ["TestSupport", "Yamux"]),
        .testTarget(name: "RegistrationTests", dependencies: ["Registration", "TestSupport"]),
        .testTarget(name: "RoutingTests", dependencies: ["Registration", "Routing", "TestSupport"]),
        .testTarget(name: "ReactorTests", dependencies: ["CKernel", "Memory", "Reactor"]),
        .testTarget(
            name: "ProxyTests",
            dependencies: [
                "CKernel", "Exchanges", "HTTP1", "Proxy", "Reactor", "Routing", "TLS", "TestSupport", "Yamux",
            ],
            swiftSettings: [secondKind]),
        .testTarget(
            name: "ControlTests",
            dependencies: [
                "CKernel", "Control", "CTLSClient", "Memory", "Proxy", "Registration", "Routing", "TLS", "TestSupport",
            ]),
        .testTarget(
            name: "ObservationTests",
            dependencies: [
                "CKernel", "Control", "Observation", "Proxy", "TLS", "TestSupport", nioCore, nioEmbedded, nioHTTP1,
                nioPosix,
            ]),
        // An OpenSSL client, and a maker of certificates, for tests alone.
        .systemLibrary(
            name: "COpenSSL", path: "Tests/COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .target(name: "CTLSClient", dependencies: ["COpenSSL"], path: "Tests/CTLSClient"),
        .testTarget(name: "TLSTests", dependencies: ["CTLS", "CTLSClient", "Memory", "TLS"]),
        .testTarget(
            name: "SocketMasterTests",
            dependencies: [
                "Registration", "SocketMaster", "TestSupport", "Yamux", logging, metricsTestKit, nioCore, nioEmbedded,
                nioPosix,
            ]),
        .testTarget(name: "ProjectTests", exclude: ["SocketMaster.api"]),
    ],
    swiftLanguageModes: [.v6]
)

// Fuzzers are built by `make fuzz` alone: they need a flag that ordinary builds must not have.
if Context.environment["SOCKETMASTER_FUZZ"] != nil {
    for core in ["Exchanges", "HTTP1", "Yamux", "Registration"] {
        package.targets.append(
            .executableTarget(
                name: "Fuzz\(core)",
                dependencies: core == "Exchanges" ? ["Exchanges", "HTTP1"] : [.byName(name: core)],
                path: "Tests/Fuzz/Fuzz\(core)",
                exclude: core == "HTTP1" ? ["http1.dict"] : [],
                swiftSettings: [.unsafeFlags(["-parse-as-library"])]
            ))
    }
}

// The service of perf/client, for its measurements alone.
if Context.environment["SOCKETMASTER_PERF"] != nil {
    package.targets.append(
        .executableTarget(
            name: "perf-client-service",
            dependencies: ["SocketMaster", "SocketMasterHummingbird", hummingbird, logging, nioCore, nioPosix],
            path: "perf/client/service"))
}

// What `make docs` renders the documentation of the client library with.
if Context.environment["SOCKETMASTER_DOCS"] != nil {
    package.dependencies.append(.package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"))
}

// What every target of ours is held to: warnings are errors, and every unsafe expression says so.
for target in package.targets where target.type != .system {
    if !["example-", "perf-", "test-"].contains(where: target.name.hasPrefix) { target.exclude.append("README.md") }
    guard !["CKernel", "CTLS", "CTLSClient"].contains(target.name) else { continue }
    target.swiftSettings =
        (target.swiftSettings ?? []) + [
            .strictMemorySafety(),
            .treatAllWarnings(as: .error),
            .treatWarning("StrictMemorySafety", as: .error),
            .enableUpcomingFeature("ExistentialAny"),
            .enableUpcomingFeature("InternalImportsByDefault"),
            .enableUpcomingFeature("MemberImportVisibility"),
        ]
}
