import Glibc

/// The project as files: what this very source lies in. What the version control ignores is not there.
struct Checkout {
    struct File {
        /// Below the root, with slashes.
        let path: String

        var name: String { path.split(separator: "/").last.map(String.init) ?? path }
        var folder: String { path.split(separator: "/").dropLast().joined(separator: "/") }
        var text: String { Checkout.contents(of: path) }

        func isBelow(_ folder: String) -> Bool { path.hasPrefix(folder + "/") }

        func hasSuffix(in suffixes: [String]) -> Bool {
            suffixes.contains { path.hasSuffix("." + $0) }
        }
    }

    static let root: String = {
        // The sources may be compiled by way of a link.
        guard let resolved = unsafe realpath(#filePath, nil) else { return "." }
        defer { unsafe free(resolved) }
        let parts = unsafe String(cString: resolved).split(separator: "/")
        return "/" + parts.dropLast(3).joined(separator: "/")
    }()

    static let current = Checkout()

    private(set) var files: [File] = []
    private(set) var folders: [String] = []
    /// Files and folders at the top.
    private(set) var topLevel: [String] = []
    private let ignored: [String]

    private init() {
        ignored = Self.contents(of: ".gitignore").split(separator: "\n").map(String.init).filter { !$0.hasPrefix("#") }
        walk("")
        files.sort { $0.path < $1.path }
        folders.sort()
    }

    /// The folders directly in this one.
    func children(of folder: String) -> [String] {
        folders.filter { $0.hasPrefix(folder + "/") && !$0.dropFirst(folder.count + 1).contains("/") }
    }

    func swiftFiles(below folder: String) -> [File] {
        files.filter { $0.isBelow(folder) && $0.hasSuffix(in: ["swift"]) }
    }

    private mutating func walk(_ folder: String) {
        for entry in Self.entries(of: folder) where entry.name != ".git" && !isIgnored(entry.name, entry.isFolder) {
            let path = folder.isEmpty ? entry.name : folder + "/" + entry.name
            if folder.isEmpty { topLevel.append(entry.name) }
            if entry.isFolder {
                folders.append(path)
                walk(path)
            } else {
                files.append(File(path: path))
            }
        }
    }

    /// Patterns for names are all that our `.gitignore` has.
    private func isIgnored(_ name: String, _ isFolder: Bool) -> Bool {
        ignored.contains { pattern in
            guard pattern.hasSuffix("/") else { return unsafe fnmatch(pattern, name, 0) == 0 }
            return unsafe isFolder && fnmatch(String(pattern.dropLast()), name, 0) == 0
        }
    }

    private static func entries(of folder: String) -> [(name: String, isFolder: Bool)] {
        guard let stream = unsafe opendir(root + "/" + folder) else { return [] }
        defer { unsafe closedir(stream) }
        var entries: [(name: String, isFolder: Bool)] = []
        while let entry = unsafe readdir(stream) {
            let isFolder = unsafe entry.pointee.d_type == UInt8(DT_DIR)
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { entries.append((name, isFolder)) }
        }
        return entries
    }

    fileprivate static func contents(of path: String) -> String {
        guard let file = unsafe fopen(root + "/" + path, "r") else { return "" }
        defer { unsafe fclose(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe fread(&piece, 1, piece.count, file)
            guard count > 0 else { break }
            bytes += piece[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension String {
    /// With the empty ones, so that an index is a line number less one.
    var lines: [Substring] { split(separator: "\n", omittingEmptySubsequences: false) }

    /// Whether the word stands there, not as a part of a longer one.
    func contains(word: String) -> Bool {
        ranges(of: word).contains { range in
            let before = range.lowerBound == startIndex ? nil : self[index(before: range.lowerBound)]
            let after = range.upperBound == endIndex ? nil : self[range.upperBound]
            return ![before, after].contains { $0.map { $0.isLetter || $0.isNumber || $0 == "_" } ?? false }
        }
    }
}
