import CKernel
import Glibc
import Proxy
import Testing

@testable import Control

/// A folder of files, gone with its owner.
final class FileTree {
    let root: String
    /// In the order in which they were made.
    private var paths: [String] = []

    init(_ files: [String: String]) throws {
        root = "/tmp/socketmaster-cgroup-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        make(folder: root)
        for (name, text) in files {
            var folder = root
            for part in name.split(separator: "/").dropLast() {
                folder += "/\(part)"
                make(folder: folder)
            }
            let path = "\(root)/\(name)"
            let file = unsafe open(path, O_WRONLY | O_CREAT, 0o644)
            try #require(file >= 0)
            var text = text
            text.withUTF8 { bytes in unsafe ck_write_all(file, bytes.baseAddress, bytes.count) }
            close(file)
            paths.append(path)
        }
    }

    private func make(folder: String) {
        if unsafe mkdir(folder, 0o755) == 0 { paths.append(folder) }
    }

    deinit {
        for path in paths.reversed() { unsafe remove(path) }
    }
}

private func limits(_ files: [String: String]) throws -> CgroupLimits {
    let tree = try FileTree(files)
    return withExtendedLifetime(tree) { CgroupLimits.read(root: tree.root) }
}

private func memory(_ files: [String: String]) throws -> Int? { try limits(files).memory?.bytes }
private func processors(_ files: [String: String]) throws -> Double? { try limits(files).processors?.count }

struct CgroupTests {
    @Test func theSmallestLimitUpToTheRootCounts() throws {
        let own = "sys/fs/cgroup/a/b"
        var files = [
            "proc/self/cgroup": "0::/a/b\n", "\(own)/memory.max": "300\n", "sys/fs/cgroup/a/memory.max": "max\n",
        ]
        #expect(try memory(files) == 300)
        files["sys/fs/cgroup/a/memory.max"] = "200\n"
        #expect(try memory(files) == 200)
        files["sys/fs/cgroup/memory.max"] = "100"
        #expect(try memory(files) == 100)
        files["\(own)/memory.high"] = "50\n"
        #expect(try limits(files).memory == CgroupLimits.Memory(bytes: 50, file: "memory.high"))
    }

    @Test func processorTimeIsAQuotaOfAPeriod() throws {
        var files = ["proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "150000 100000\n"]
        #expect(try processors(files) == 1.5)
        files["sys/fs/cgroup/a/cpu.max"] = "10000 20000\n"
        #expect(try limits(files).processors == CgroupLimits.Processors(count: 0.5, file: "cpu.max"))
        files["sys/fs/cgroup/a/cpu.max"] = "max 100000\n"
        #expect(try processors(files) == 1.5)
    }

    /// The largest number that the kernel's pages allow is what it writes for no limit.
    @Test func version1HasAHierarchyForEachController() throws {
        let files = [
            "proc/self/cgroup": "12:cpuset:/\n4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n1:name=systemd:/docker/x\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": "1000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "250000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000\n",
        ]
        #expect(try memory(files) == 1000)
        #expect(try processors(files) == 2.5)
    }

    @Test func aHybridHierarchyHasBoth() throws {
        let mounts = """
            30 25 0:26 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
            31 25 0:27 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory

            """
        let files = [
            "proc/self/cgroup": "5:memory:/m\n0::/u\n", "proc/self/mountinfo": mounts,
            "sys/fs/cgroup/memory/m/memory.limit_in_bytes": "700\n", "sys/fs/cgroup/unified/u/cpu.max": "1 4\n",
            // Not mounted as memory's: of no meaning.
            "sys/fs/cgroup/memory.max": "5\n",
        ]
        #expect(try memory(files) == 700)
        #expect(try processors(files) == 0.25)
    }

    /// In a container the group is the root of what is mounted, with or without a namespace of its own.
    @Test(arguments: [
        ("0::/docker/abc\n", "/docker/abc"), ("0::/\n", "/"), ("0::/../other\n", "/"),
        ("0::/host/only\n", "/docker/abc"),
        ("0::/docker/abc\n", "/docker/a"), ("0::/../x\n", "/.."),
    ])
    func whereTheGroupIsTheMountItsOwnFilesCount(group: String, root: String) throws {
        let files = [
            "proc/self/cgroup": group,
            "proc/self/mountinfo": "30 25 0:26 \(root) /my\\040cgroup ro - cgroup2 cgroup rw\n",
            "my cgroup/memory.max": "12345\n",
        ]
        #expect(try memory(files) == 12345)
    }

    @Test(arguments: [
        "", "\n", "lots", "12x", "1 2", "+5", "-1", "0", "0x10", "1e9", "18446744073709551616", "٣", "12.5", "max\n12",
        String(repeating: "9", count: 2 << 20),
    ])
    func whatIsNoNumberIsNoLimit(text: String) throws {
        let v1 = "sys/fs/cgroup/memory/memory.limit_in_bytes"
        let files = [
            "proc/self/cgroup": "4:memory:/\n3:cpu:/\n0::/\n", "sys/fs/cgroup/memory.max": text, v1: text,
            "sys/fs/cgroup/cpu.max": text, "sys/fs/cgroup/cpu/cpu.cfs_quota_us": text,
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        ]
        // Two numbers are a quota and its period, and only there.
        let quota = text == "1 2" ? CgroupLimits.Processors(count: 0.5, file: "cpu.max") : nil
        #expect(try limits(files) == CgroupLimits(memory: nil, processors: quota))
    }

    @Test(arguments: ["", "nonsense\n", "0::\n", "0:\n::::\n", ":memory:relative\n", "\u{0}"])
    func groupsThatCannotBeReadAreNone(text: String) throws {
        #expect(try limits(["proc/self/cgroup": text, "sys/fs/cgroup/a/memory.max": "5"]) == .none)
    }

    /// Nothing there at all, not even a folder.
    @Test func whereThereIsNoTreeThereIsNoLimit() {
        #expect(CgroupLimits.read(root: "/nowhere/at/all") == .none)
    }

    @Test func processorsAreWrittenShortly() {
        for (count, text) in [(0.05, "0.05"), (1.5, "1.5"), (4, "4"), (0.001, "0.01"), (2.25, "2.25")] {
            #expect("\(CgroupLimits.Processors(count: count, file: ""))" == text)
        }
    }
}

struct FittingTests {
    private func surroundings(memory: Int? = nil, processors: Double? = nil, of all: Int = 8) -> Surroundings {
        Surroundings(
            cgroup: CgroupLimits(
                memory: memory.map { .init(bytes: $0, file: "memory.max") },
                processors: processors.map { .init(count: $0, file: "cpu.max") }),
            processors: all, memory: 64 << 30)
    }

    @Test func withoutLimitsTheDefaultsStay() {
        let fitted = Settings().fitted(to: surroundings())
        #expect(fitted.reactors == 8 && fitted.bufferLimit == nil && fitted.tlsHandshakes == nil)
        #expect(Settings().fitted(to: surroundings(memory: 1 << 50)).bufferLimit == nil)
        #expect(Settings().fitted(to: surroundings(processors: 100)).reactors == 8)
    }

    @Test(arguments: [(0.05, 1), (1, 1), (1.01, 2), (2.5, 3), (7.9, 8), (8, 8)] as [(Double, Int)])
    func reactorsAreNoMoreThanTheirTime(quota: Double, reactors: Int) {
        #expect(Settings().fitted(to: surroundings(processors: quota)).reactors == reactors)
        var settings = Settings()
        settings.reactors = 5
        #expect(settings.fitted(to: surroundings(processors: quota)).reactors == 5)
    }

    /// Whoever gives no flag is not told to lower one.
    @Test(arguments: [256, 384, 512, 1024, 4096, 16_384], [1, 2, 8, 64])
    func defaultsFitIntoTheMemory(mebibytes: Int, reactors: Int) throws {
        let surroundings = surroundings(memory: mebibytes << 20, of: reactors)
        let settings = Settings().fitted(to: surroundings)
        try settings.check()
        let budget = try DescriptorBudget(limit: 1_000_000, settings: settings, reactors: reactors)
        let limits = settings.dataPlaneLimits(budget, now: 0)
        #expect(limits.bufferBytes <= mebibytes << 19)
        // What a reactor has at least does not fit often enough into a little.
        guard mebibytes >= 32 * reactors + 192 else { return }
        #expect(surroundings.warning(limits) == nil)
    }

    @Test func whatFlagsSayIsKeptAndWarnedOf() throws {
        var settings = Settings()
        settings.bufferLimit = ByteCount(bytes: 1 << 30)
        settings.maximumConnections = 5_000
        settings.tlsHandshakes = 3_000
        let surroundings = surroundings(memory: 512 << 20)
        settings = settings.fitted(to: surroundings)
        let budget = try DescriptorBudget(limit: 20_000, settings: settings, reactors: 2)
        let limits = settings.dataPlaneLimits(budget, now: 0)
        #expect(limits.bufferBytes == 1 << 30 && limits.connections == 5_000 && limits.handshakes == 3_000)
        let warning = try #require(surroundings.warning(limits))
        #expect(warning.contains("512 MiB") && warning.contains("memory.max") && warning.contains("--buffer-limit"))
    }

    /// The machine itself may have less than the bounds.
    @Test func aSmallMachineIsWarnedOf() throws {
        let small = Surroundings(cgroup: .none, processors: 1, memory: 100 << 20)
        let budget = try DescriptorBudget(limit: 1024, settings: Settings(), reactors: 1)
        let limits = Settings().dataPlaneLimits(budget, now: 0)
        #expect(small.warning(limits)?.contains("this machine has 100 MiB") == true)
    }
}
