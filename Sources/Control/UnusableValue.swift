/// Why the value of a flag cannot be used. `description` is a sentence that says how to write it.
public struct UnusableValue: Error, Equatable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) {
        self.description = description
    }
}
