// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that nobody who builds the program has to get the tools of its benchmarks.
let package = Package(
    name: "benchmarks",
    dependencies: [.package(name: "socketmaster", path: "..")],
    targets: [
        .target(
            name: "Loops",
            dependencies: [.product(name: "_Cores", package: "socketmaster")],
            path: "Loops"),
        .executableTarget(name: "counted-loops", dependencies: ["Loops"], path: "CountedLoops"),
    ],
    swiftLanguageModes: [.v6]
)

// As in the package of the program.
for target in package.targets {
    target.swiftSettings = [
        .strictMemorySafety(),
        .treatAllWarnings(as: .error),
        .treatWarning("StrictMemorySafety", as: .error),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
    ]
}

// For `make bench` alone: counting instructions needs none of this, and its plugin is built whatever is asked for.
if Context.environment["SOCKETMASTER_TIMES"] != nil {
    // Without traits: what counts allocations is a further package, and callgrind counts them here.
    package.dependencies.append(.package(url: "https://github.com/ordo-one/benchmark", exact: "1.38.1", traits: []))
    package.targets.append(
        .executableTarget(
            name: "Times",
            dependencies: ["Loops", .product(name: "Benchmark", package: "benchmark")],
            // The plugin finds its targets by the folder that they lie in.
            path: "Benchmarks/Times",
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]))
}
