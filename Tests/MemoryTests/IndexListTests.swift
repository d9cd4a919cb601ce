import Memory
import Testing
import TestSupport

@Test func `a list gives its indices in the order in which they were appended`() {
    let links = IndexLinks(capacity: 10)
    var list = IndexList()
    #expect(list.isEmpty)
    for index in [Int32(3), 0, 9] { links.append(index, to: &list) }
    #expect(!list.isEmpty && list.count == 3 && list.first == 3 && list.last == 9)
    #expect(indices(of: list, in: links) == [3, 0, 9])
    let taken = (0..<4).map { _ in links.removeFirst(from: &list) }
    #expect(taken == [3, 0, 9, -1])
    #expect(list.isEmpty && list.count == 0 && list.last == -1)
}

@Test func `an index can be taken out at the front, in the middle and at the back`() {
    for victim in Int32(0)..<4 {
        let links = IndexLinks(capacity: 4)
        var list = IndexList()
        for index in Int32(0)..<4 { links.append(index, to: &list) }
        links.remove(victim, from: &list)
        #expect(indices(of: list, in: links) == [0, 1, 2, 3].filter { $0 != victim })
        #expect(links.isLinked(victim) == false)
        links.append(victim, to: &list)
        #expect(list.last == victim && links.isLinked(victim))
    }
}

@Test func `many lists share the links, and each behaves like an array`() {
    for seed in 1...(20 * effort) {
        var random = SeededGenerator(seed: seed)
        let capacity = Int.random(in: 1...50, using: &random)
        let links = IndexLinks(capacity: capacity)
        var lists = [IndexList](repeating: IndexList(), count: 4)
        var model = [[Int32]](repeating: [], count: 4)
        for step in 0..<2_000 {
            let index = Int32.random(in: 0..<Int32(capacity), using: &random)
            let owner = model.firstIndex { $0.contains(index) }
            #expect(links.isLinked(index) == (owner != nil), "seed \(seed), step \(step)")
            let other = Int.random(in: 0..<4, using: &random)
            if let owner {
                links.remove(index, from: &lists[owner])
                model[owner].removeAll { $0 == index }
            } else if Bool.random(using: &random) {
                links.append(index, to: &lists[other])
                model[other].append(index)
            } else {
                let first = links.removeFirst(from: &lists[other])
                #expect(first == (model[other].isEmpty ? -1 : model[other].removeFirst()), "seed \(seed), step \(step)")
            }
            for place in 0..<4 where step % 10 == 0 {
                #expect(indices(of: lists[place], in: links) == model[place], "seed \(seed), step \(step)")
                #expect(lists[place].last == model[place].last ?? -1, "seed \(seed), step \(step)")
            }
        }
    }
}

@Test func `an index that is in no list has no neighbour`() {
    let links = IndexLinks(capacity: 2)
    var list = IndexList()
    #expect(links.next(of: 1) == -1)
    links.append(1, to: &list)
    #expect(links.next(of: 1) == -1)
}

@Test func `an index cannot be in two lists, nor be taken out of none`() async {
    await #expect(processExitsWith: .failure) {
        let links = IndexLinks(capacity: 2)
        var first = IndexList()
        var second = IndexList()
        links.append(0, to: &first)
        links.append(0, to: &second)
    }
    await #expect(processExitsWith: .failure) {
        let links = IndexLinks(capacity: 2)
        var list = IndexList()
        links.append(0, to: &list)
        links.remove(1, from: &list)
    }
    await #expect(processExitsWith: .failure) {
        let links = IndexLinks(capacity: 2)
        _ = links.isLinked(2)
    }
}

private func indices(of list: IndexList, in links: borrowing IndexLinks) -> [Int32] {
    var result: [Int32] = []
    var index = list.first
    while index >= 0, result.count <= Int(list.count) {
        result.append(index)
        index = links.next(of: index)
    }
    return result.count == Int(list.count) ? result : [-1]
}
