/// Records of one kind, all of which are there from the start: who uses which place is decided elsewhere.
///
/// As in a `Slab`, mutation goes through an addressor: two records can be changed at once, and no exclusivity check
/// runs.
@safe
public struct FixedArray<Element: BitwiseCopyable>: ~Copyable {
    // First, because the thread sanitizer takes the first word of a value for the address that an addressor changes.
    @usableFromInline let elements: UnsafeMutablePointer<Element>
    /// How many there are, for one comparison that finds negative numbers as well.
    @usableFromInline let bound: UInt32

    @inlinable public var count: Int { Int(bound) }

    public init(repeating element: Element, count: Int) {
        unsafe self.init(zeroed: count)
        unsafe elements.initialize(repeating: element, count: count)
    }

    public init(copying elements: [Element]) {
        unsafe self.init(zeroed: elements.count)
        for (place, element) in elements.enumerated() { unsafe self.elements[place] = element }
    }

    /// Records of zeros, for kinds of which that is a value, or of which nobody reads what nobody has written. Pages
    /// that are not written to cost nothing.
    @unsafe
    public init(zeroed count: Int) {
        precondition(count >= 0 && count < Int(Int32.max))
        self.bound = UInt32(count)
        unsafe self.elements = Region.array(of: Element.self, count: count)
    }

    /// Gives a place that nobody has to somebody. Debug builds look whether somebody has written to it meanwhile.
    @inlinable
    public func occupy(_ index: Int32, with element: Element) {
        assert(unsafe Poison.isWholeOrNew(elements + Int(index)), "somebody has written to a place that was free")
        self[index] = element
    }

    /// The place is nobody's. Debug builds fill it with a pattern (`Poison`).
    @inlinable
    public func vacate(_ index: Int32) {
        precondition(UInt32(bitPattern: index) < bound)
        #if DEBUG
        unsafe Poison.fill(elements + Int(index))
        #endif
    }

    @inlinable
    public subscript(index: Int) -> Element {
        unsafeAddress {
            precondition(UInt(bitPattern: index) < UInt(bound))
            return unsafe UnsafePointer(elements + index)
        }
        nonmutating unsafeMutableAddress {
            precondition(UInt(bitPattern: index) < UInt(bound))
            return unsafe elements + index
        }
    }

    @inlinable
    public subscript(index: Int32) -> Element {
        unsafeAddress {
            precondition(UInt32(bitPattern: index) < bound)
            return unsafe UnsafePointer(elements + Int(index))
        }
        nonmutating unsafeMutableAddress {
            precondition(UInt32(bitPattern: index) < bound)
            return unsafe elements + Int(index)
        }
    }
}
