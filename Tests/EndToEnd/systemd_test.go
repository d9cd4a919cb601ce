package endtoend

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A real systemd starts the program, hears that it is ready, feeds on its watchdog, replaces it when it hangs, keeps its
// control addresses, and ends it.
func TestARealSystemdStartsWatchesReplacesAndEndsTheProgram(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	files, err := filepath.Glob("systemd/*")
	if err != nil || len(files) == 0 {
		t.Fatal("no units", err)
	}
	for _, path := range append(files, program()) {
		copyFile(t, path, filepath.Join(folder, filepath.Base(path)))
	}
	limit, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	command := exec.CommandContext(limit, filepath.Join(folder, "boot"), folder)
	said, _ := command.CombinedOutput()
	told, err := os.ReadFile(filepath.Join(folder, "told"))
	if err != nil {
		t.Skipf("no systemd can be had here: %s", said)
	}
	log, _ := os.ReadFile(filepath.Join(folder, "log"))
	if _, err := os.Stat(filepath.Join(folder, "done")); err != nil {
		t.Errorf("it did not come to the end: %s", said)
	}
	for _, fact := range []string{
		"started: active", "status: 0 routes on 0 ports; 0 sessions", "restarts while it goes on: 0", "started again: active",
		"a process that hung was replaced", "result of the end: success", "the socket is there without it",
	} {
		if !strings.Contains(string(told), fact+"\n") {
			t.Errorf("it is not so: %s\n%s\n%s", fact, told, log)
		}
	}
	for _, line := range []string{
		"control address 127.0.0.1:9999, passed by systemd",
		"control address unix:/run/socketmaster-control,mode=0660, passed by systemd", "critical SIGABRT, sent by process 1",
	} {
		if !strings.Contains(string(log), line) {
			t.Errorf("the log does not say %q:\n%s", line, log)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}
