import Loops

/// What runs in here is counted: `instructions` tells callgrind this function's name.
@inline(never)
func measured(_ operations: (Int) -> Int, _ count: Int) -> Int { operations(count) }

// Each loop, or those whose names are given; a line for each, in the order in which callgrind writes its files.
let names = Set(CommandLine.arguments.dropFirst())
for loop in Loop.all where names.isEmpty || names.contains(loop.name) {
    let operations = loop.prepare()
    // What happens the first time only is not what we want to know.
    for _ in 1...2 {
        precondition(measured(operations, loop.repetitions) != 0, "\(loop.name) has done nothing")
    }
    print(loop.repetitions, loop.name)
}
