import Routing

extension Loop {
    static let snapshotBuilds: [Loop] = [build("1000", count: 1000), build("100 000", count: 100_000)]

    private static func build(_ number: String, count routeCount: Int) -> Loop {
        Loop("Routing: build a snapshot of \(number) routes", repetitions: 1) {
            let definitions = Routes.definitions(count: routeCount)
            return { count in
                var sum = 0
                for _ in 0..<count {
                    let snapshot = Routes.build(definitions)
                    sum &+= Int(snapshot.generation)
                    snapshot.deallocate()
                }
                return sum
            }
        }
    }
}
