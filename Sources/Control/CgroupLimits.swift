/// What the control groups of this process allow it, of both versions: the smallest limit between its own groups and
/// the root counts. What is missing, malformed or may not be read is no limit.
struct CgroupLimits: Equatable, Sendable {
    /// A limit, and the file that says so.
    struct Memory: Equatable, Sendable {
        let bytes: Int
        let file: String
    }

    /// Processor time: 1.5 is a processor and a half.
    struct Processors: Equatable, Sendable {
        let count: Double
        let file: String
    }

    var memory: Memory?
    var processors: Processors?

    static let none = CgroupLimits()

    /// - Parameter root: what stands before `/proc` and `/sys`: nothing, or a folder with a copy of them.
    static func read(root: String) -> CgroupLimits {
        let groups = CgroupPlace.groups(text("\(root)/proc/self/cgroup") ?? "0::/")
        let mounts = CgroupPlace.mounts(text("\(root)/proc/self/mountinfo") ?? "")
        var limits = CgroupLimits.none
        for place in CgroupPlace.all(groups, mounts) {
            for folder in place.folders { limits.tighten(by: "\(root)\(folder)", place.controller) }
        }
        return limits
    }

    private mutating func tighten(by folder: String, _ controller: CgroupPlace.Controller) {
        switch controller {
        case .memory:
            for name in ["memory.max", "memory.high"] { tighten(bytes: number("\(folder)/\(name)"), name) }
        case .memoryOfVersion1:
            tighten(bytes: number("\(folder)/memory.limit_in_bytes"), "memory.limit_in_bytes")
        case .processors:
            guard let words = Self.text("\(folder)/cpu.max")?.split(whereSeparator: \.isWhitespace), words.count == 2
            else { return }
            tighten(quota: Self.number(words[0]), period: Self.number(words[1]), "cpu.max")
        case .processorsOfVersion1:
            let quota = number("\(folder)/cpu.cfs_quota_us")
            tighten(quota: quota, period: number("\(folder)/cpu.cfs_period_us"), "cpu.cfs_quota_us")
        }
    }

    private mutating func tighten(bytes: Int?, _ file: String) {
        guard let bytes, bytes < memory?.bytes ?? .max else { return }
        memory = Memory(bytes: bytes, file: file)
    }

    private mutating func tighten(quota: Int?, period: Int?, _ file: String) {
        guard let quota, let period else { return }
        let count = Double(quota) / Double(period)
        guard count < processors?.count ?? .infinity else { return }
        processors = Processors(count: count, file: file)
    }

    private func number(_ path: String) -> Int? { Self.text(path).flatMap { Self.number(Self.trimmed($0)) } }

    /// A whole number above 0; `max`, -1 and what is larger than any memory are none.
    private static func number(_ text: Substring) -> Int? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            return nil
        }
        return Int(text).flatMap { (1..<(1 << 60)).contains($0) ? $0 : nil }
    }

    private static func trimmed(_ text: String) -> Substring {
        var rest = text[...]
        while let last = rest.last, last.isWhitespace { rest.removeLast() }
        return rest
    }

    private static func text(_ path: String) -> String? { KernelText.contents(of: path, atMost: 1 << 20) }
}

extension CgroupLimits.Processors: CustomStringConvertible {
    /// To a tenth of a hundred: `0.05`, `1.5`, `4`.
    var description: String {
        let hundredths = Int((count * 100).rounded(.up))
        let (whole, rest) = hundredths.quotientAndRemainder(dividingBy: 100)
        if rest == 0 { return "\(whole)" }
        return rest % 10 == 0 ? "\(whole).\(rest / 10)" : "\(whole).\(rest < 10 ? "0" : "")\(rest)"
    }
}

/// Where the files of a controller lie: from a group up to where its hierarchy is mounted.
struct CgroupPlace: Equatable {
    enum Controller { case memory, processors, memoryOfVersion1, processorsOfVersion1 }

    let controller: Controller
    /// The group's own folder first, the mount point last.
    let folders: [String]

    /// A line of `/proc/self/cgroup`. Version 2 has no names of controllers.
    struct Group {
        let controllers: [Substring]
        let path: String
    }

    /// Where a hierarchy can be seen. In a container its root is a group far below the machine's.
    struct Mount {
        let isVersion2: Bool
        let controllers: [Substring]
        let root: String
        let point: String
    }

    /// PATH_MAX: what is longer names nothing.
    private static let longestPath = 4096

    static func groups(_ text: String) -> [Group] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3, fields[2].first == "/", fields[2].utf8.count < longestPath else { return nil }
            return Group(controllers: fields[1].split(separator: ","), path: String(fields[2]))
        }
    }

    /// The lines of `/proc/self/mountinfo` that are of control groups (proc_pid_mountinfo(5)), or where they usually
    /// are.
    static func mounts(_ text: String) -> [Mount] {
        let found = text.split(separator: "\n").compactMap { line -> Mount? in
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash >= 5, fields.count > dash + 3 else { return nil }
            let kind = fields[dash + 1]
            guard kind == "cgroup" || kind == "cgroup2" else { return nil }
            return Mount(
                isVersion2: kind == "cgroup2", controllers: fields[dash + 3].split(separator: ","),
                root: unescaped(fields[3]), point: unescaped(fields[4]))
        }
        return found.isEmpty ? usualMounts : found
    }

    static func all(_ groups: [Group], _ mounts: [Mount]) -> [CgroupPlace] {
        mounts.flatMap { mount -> [CgroupPlace] in
            if mount.isVersion2 {
                guard let group = groups.first(where: { $0.controllers.isEmpty }) else { return [] }
                let folders = folders(group.path, mount)
                return [
                    CgroupPlace(controller: .memory, folders: folders),
                    CgroupPlace(controller: .processors, folders: folders),
                ]
            }
            return [("memory" as Substring, Controller.memoryOfVersion1), ("cpu", .processorsOfVersion1)].compactMap {
                name, controller in
                guard mount.controllers.contains(name) else { return nil }
                // A copy may lack the line: then the mount is all that is known.
                let path = groups.first { $0.controllers.contains(name) }?.path ?? "/"
                return CgroupPlace(controller: controller, folders: folders(path, mount))
            }
        }
    }

    private static var usualMounts: [Mount] {
        let base = "/sys/fs/cgroup"
        let second = [base, base + "/unified"].map { Mount(isVersion2: true, controllers: [], root: "/", point: $0) }
        let first = ["memory", "cpu", "cpu,cpuacct", "cpuacct,cpu"].map { names in
            Mount(isVersion2: false, controllers: names.split(separator: ","), root: "/", point: "\(base)/\(names)")
        }
        return second + first
    }

    /// A group that lies outside of what is mounted here has nothing to be read of but the mount point.
    private static func folders(_ path: String, _ mount: Mount) -> [String] {
        var names = path.split(separator: "/")
        let root = mount.root.split(separator: "/")
        names = names.starts(with: root) ? Array(names.dropFirst(root.count)) : []
        if names.contains("..") { names = [] }
        names = names.filter { $0 != "." }
        return (0...names.count).reversed().map { count in
            count == 0 ? mount.point : "\(mount.point)/\(names.prefix(count).joined(separator: "/"))"
        }
    }

    /// Spaces and the like stand as three octal digits behind a backslash.
    private static func unescaped(_ field: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = field.utf8[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3, let value = UInt8(String(Substring(digits)), radix: 8) {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
