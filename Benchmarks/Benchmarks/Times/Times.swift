import Benchmark
import Loops

let benchmarks: @Sendable () -> Void = {
    for loop in Loop.all {
        let configuration = Benchmark.Configuration(
            metrics: [.wallClock],
            timeUnits: .nanoseconds,
            warmupIterations: 10,
            scalingFactor: loop.repetitions == 1 ? .one : .kilo,
            maxDuration: .milliseconds(500),
            maxIterations: 100_000
        )
        Benchmark(loop.name, configuration: configuration) { benchmark, operations in
            blackHole(operations(benchmark.scaledIterations.count))
        } setup: {
            loop.prepare()
        }
    }
}
