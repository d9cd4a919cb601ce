package endtoend

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree writes files below a folder, whose names are paths, and returns the folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// inTree is the command that runs the program as if the cgroups of the tree were its own.
func inTree(root string) []string {
	return []string{"/usr/bin/env", "SOCKETMASTER_CGROUP_ROOT=" + root, program()}
}

func TestDefaultsFollowTheCgroup(t *testing.T) {
	trees := map[string]map[string]string{
		"memory.max": {
			"proc/self/cgroup":                                    "0::/system.slice/proxy.service\n",
			"sys/fs/cgroup/system.slice/memory.max":               "268435456\n",
			"sys/fs/cgroup/system.slice/cpu.max":                  "max 100000\n",
			"sys/fs/cgroup/system.slice/proxy.service/memory.max": "max\n",
			"sys/fs/cgroup/system.slice/proxy.service/cpu.max":    "50000 100000\n",
		},
		"memory.limit_in_bytes": {
			"proc/self/cgroup":                                      "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":            "9223372036854771712\n",
			"sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "268435456\n",
			"sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us":     "50000\n",
			"sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us":    "100000\n",
			"sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "-1\n",
		},
	}
	for file, files := range trees {
		command := inTree(tree(t, files))
		p := startProxyBy(t, command)
		p.awaitLog(`1 reactor, the cgroup allows 0\.5 of `, 0)
		p.awaitLog(`memory at most \d+(\.\d)? MiB, of it 64\.0 MiB and a quarter for bytes that wait`, 0)
		p.awaitLog(`descriptors at most`, 0)
		if said := p.stderr.text(); strings.Contains(said, "warning") {
			t.Errorf("%s: it warns of its own defaults: %s", file, said)
		}
		// What a flag says is kept, and warned of.
		p = startProxyBy(t, command, "--reactors", "2", "--buffer-limit", "256m")
		p.awaitLog(`2 reactors, the cgroup allows 0\.5 of `, 0)
		p.awaitLog(`warning the cgroup allows 256 MiB of memory \(`+file+`\), less than that: .*lower --buffer-limit`, 0)
		limits := startProcess(t, command[0], append(command[1:], "--print-limits", "--max-connections", "9000")...)
		if code := limits.exitCode(); code != 0 || !strings.Contains(limits.stdout.whole(), file) {
			t.Errorf("%s: --print-limits ends with %d and says %s", file, code, limits.stdout.whole())
		}
	}
}

func TestACgroupThatCannotBeReadLimitsNothing(t *testing.T) {
	for what, files := range map[string]map[string]string{
		"nothing":        {"empty": ""},
		"malformed":      {"proc/self/cgroup": "\x00::::\n0:\n:\n", "sys/fs/cgroup/memory.max": "lots\n", "sys/fs/cgroup/cpu.max": "1\n"},
		"numbers of 0":   {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "0\n", "sys/fs/cgroup/cpu.max": "0 0\n"},
		"negative":       {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "-5\n", "sys/fs/cgroup/cpu.max": "5 -1\n"},
		"huge":           {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": strings.Repeat("9", 5_000_000)},
		"beyond 2^64":    {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "18446744073709551616\n"},
		"a folder":       {"proc/self/cgroup/x": "", "sys/fs/cgroup/memory.max/x": ""},
		"a long path":    {"proc/self/cgroup": "0::" + strings.Repeat("/x", 100_000) + "\n"},
		"an outer group": {"proc/self/cgroup": "0::/../../other\n", "sys/other/memory.max": "1048576\n"},
	} {
		p := startProxyBy(t, inTree(tree(t, files)), "--reactors", "1")
		p.awaitLog(`memory at most .* of it 512 MiB`, 0)
		if said := p.stderr.text(); strings.Contains(said, "cgroup") {
			t.Errorf("%s: %s", what, said)
		}
	}
}

// group makes a group of its own for a test, below the first folder that can be written to.
func group(t *testing.T, folders ...string) string {
	t.Helper()
	for _, folder := range folders {
		path := filepath.Join(folder, fmt.Sprint("socketmaster-test-", os.Getpid(), "-", freePort(t)))
		if os.Mkdir(path, 0o755) == nil {
			t.Cleanup(func() { os.Remove(path) })
			return path
		}
	}
	t.Skip("no cgroup can be made here")
	return ""
}

func TestDefaultsFollowALiveCgroup(t *testing.T) {
	set := func(path, name, value string) bool {
		return os.WriteFile(filepath.Join(path, name), []byte(value), 0o644) == nil
	}
	memory := group(t, "/sys/fs/cgroup/memory", "/sys/fs/cgroup")
	if !set(memory, "memory.max", "300M") && !set(memory, "memory.limit_in_bytes", "300M") {
		t.Skip("no limit can be set here")
	}
	groups := []string{memory}
	hasQuota := set(memory, "cpu.max", "150000 100000")
	if _, err := os.Stat("/sys/fs/cgroup/cpu"); !hasQuota && err == nil {
		processors := group(t, "/sys/fs/cgroup/cpu")
		hasQuota = set(processors, "cpu.cfs_quota_us", "50000")
		groups = append(groups, processors)
	}
	script := ""
	for _, folder := range groups {
		script += "echo $$ > " + folder + "/cgroup.procs && "
	}
	p := startProxyBy(t, []string{"/bin/bash", "-c", script + `exec "$0" "$@"`, program()})
	p.awaitLog(`memory at most \d+(\.\d)? MiB, of it 75\.0 MiB and a quarter for bytes that wait`, 0)
	if hasQuota {
		p.awaitLog(`1 reactor, the cgroup allows 0\.5 of |2 reactors, the cgroup allows 1\.5 of `, 0)
	}
	port := freePort(t)
	p.serve(onPath(port, "/"), text("served"))
	expectServed(t, port, "/", "served")
	p.stop()
	p.dead = true
	p = startProxyBy(t, []string{"/bin/bash", "-c", script + `exec "$0" "$@"`, program()}, "--buffer-limit", "1g")
	p.awaitLog(`warning the cgroup allows 300 MiB of memory \(memory\.`, 0)
	p.stop()
	p.dead = true
}
