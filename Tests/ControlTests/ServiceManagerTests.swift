import Testing

@testable import Control

/// An environment with these variables alone.
private func environment(_ variables: [String: String]) -> (String) -> String? {
    { variables[$0] }
}

struct ServiceManagerTests {
    @Test func itIsThereIfItSaysWhereItListens() {
        #expect(ServiceManager(environment([:])) == nil)
        #expect(ServiceManager(environment(["NOTIFY_SOCKET": ""])) == nil)
        #expect(ServiceManager(environment(["NOTIFY_SOCKET": "@x"])).map { "\($0)" } == "@x")
    }

    @Test(
        arguments: [
            ("30000000", nil, 30_000), ("1", nil, 1), ("0", nil, nil), ("x", nil, nil), ("-1", nil, nil),
            ("30000000", "1", nil), ("30000000", "x", nil),
        ] as [(String, String?, UInt64?)])
    func itsWatchdogIsForThisProcessAlone(time: String, process: String?, wanted: UInt64?) {
        var variables = ["NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": time]
        variables["WATCHDOG_PID"] = process
        #expect(ServiceManager(environment(variables))?.watchdogMilliseconds == wanted)
    }

    @Test func itHearsOfTheStartWhenEveryReactorHasTurned() {
        var news = ManagerNews(watchdogMilliseconds: nil)
        var due = news.take(now: 5, isNew: false, status: "a", turns: [0: 1, 1: 0])
        #expect(due == ManagerNews.Due(ringsReactors: true))
        #expect(news.dueAt == 5 + ManagerNews.startMilliseconds)
        due = news.take(now: 20, isNew: false, status: "a", turns: [0: 1, 1: 1])
        #expect(due == ManagerNews.Due(assignments: ["READY=1", "STATUS=a"]))
        #expect(news.dueAt == .max)
        #expect(news.take(now: 30, isNew: true, status: "a", turns: [0: 1, 1: 1]) == ManagerNews.Due())
    }

    @Test func itHearsHowThingsAreOnceASecondAtMost() {
        var news = ManagerNews(watchdogMilliseconds: nil)
        _ = news.take(now: 1, isNew: false, status: "a", turns: [:])
        #expect(news.take(now: 2, isNew: true, status: "b", turns: [:]) == ManagerNews.Due())
        #expect(news.dueAt == 1 + ManagerNews.statusMilliseconds)
        #expect(
            news.take(now: news.dueAt, isNew: false, status: "c", turns: [:])
                == ManagerNews.Due(assignments: ["STATUS=c"]))
        #expect(news.dueAt == .max)
        // Nothing is looked at while nothing has changed.
        #expect(news.take(now: 9_999, isNew: false, status: "d", turns: [:]) == ManagerNews.Due())
    }

    @Test func itsWatchdogIsFedForAsLongAsEveryReactorTurns() {
        var news = ManagerNews(watchdogMilliseconds: 300)
        let alive = ManagerNews.Due(assignments: ["WATCHDOG=1"], ringsReactors: true)
        _ = news.take(now: 1, isNew: false, status: "", turns: [0: 1, 1: 1])
        #expect(news.take(now: 50, isNew: false, status: "", turns: [0: 9, 1: 1]) == ManagerNews.Due())
        #expect(news.dueAt == 101)
        #expect(news.take(now: 101, isNew: false, status: "", turns: [0: 9, 1: 2]) == alive)
        #expect(
            news.take(now: 205, isNew: false, status: "", turns: [0: 10, 1: 2])
                == .init(ringsReactors: true, silent: [1]))
        #expect(
            news.take(now: 305, isNew: false, status: "", turns: [0: 11, 1: 2])
                == .init(ringsReactors: true, silent: [1]))
        #expect(news.take(now: 405, isNew: false, status: "", turns: [0: 12, 1: 3]) == alive)
        // A reactor that has done its work is not asked any more.
        #expect(news.take(now: 505, isNew: false, status: "", turns: [0: 13]) == alive)
        #expect(news.take(now: 605, isNew: false, status: "", turns: [:]) == alive)
    }
}
