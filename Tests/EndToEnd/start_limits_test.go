package endtoend

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"socketmaster/endtoend/service"
)

// under is the command that runs the program with a limit of the shell's, of both kinds.
func under(limit string) []string {
	return []string{"/bin/bash", "-c", "ulimit " + limit + ` && exec "$0" "$@"`, program()}
}

// isSanitized tells whether the program reserves terabytes for itself, as sanitizers do.
func isSanitized(t *testing.T) bool {
	p := once(t)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`VmSize:\s+(\d+) kB`).FindSubmatch(status)
	kilobytes, _ := strconv.Atoi(string(match[1]))
	return kilobytes > 1<<30
}

// expectServedOrTold starts the program and checks that it serves, or ends with one sentence. A loader that has no room
// ends with 127 and says so itself: the program has not begun then.
func expectServedOrTold(t *testing.T, what string, command []string, flags ...string) (code int) {
	t.Helper()
	control := fmt.Sprint("127.0.0.1:", freePort(t))
	arguments := append(append(command[1:len(command):len(command)], "--bind", control, "--start-grace", "0s"), flags...)
	p := startProcess(t, command[0], arguments...)
	eventually(t, what+": it serves or ends", func() bool {
		connection, err := service.Dial(control)
		if err == nil {
			connection.Close()
		}
		return err == nil || p.hasExited()
	})
	port := freePort(t)
	// It listens before the last of what may fail: who has got through by then is cut off.
	if listener, err := service.Listen(control, onPath(port, "/")); err == nil {
		serveHTTP(listener, text("served"))
		expectServed(t, port, "/", "served")
		listener.Close()
		p.signal(syscall.SIGTERM)
		if code := p.exitCode(); code != 0 {
			t.Errorf("%s: after SIGTERM it ended with %d: %s", what, code, p.stderr.text())
		}
		return 0
	}
	code = p.exitCode()
	if code == 127 && strings.Contains(p.stderr.text(), "loading shared libraries") {
		return code
	}
	if code <= usage || code > 78 {
		t.Errorf("%s: exit code %d: %s", what, code, p.stderr.text())
		return code
	}
	expectOneSentence(t, what, p)
	return code
}

func TestAStartWithLittleAddressSpaceServesOrNamesTheLimit(t *testing.T) {
	if isSanitized(t) {
		t.Skip("the sanitizer needs all of it")
	}
	flags := []string{"--reactors", "2", "--buffer-limit", "512m", "--max-connections", "8000"}
	for _, limit := range []string{"-v", "-d"} {
		for kibibytes, wanted := range map[int]int{
			60_000: 71, 90_000: 0, 130_000: 78, 400_000: 78, 800_000: 78, 1_500_000: 78, 1_600_000: 0, 1_700_000: 0,
			1_800_000: 0, 6_000_000: 0,
		} {
			what := fmt.Sprintf("ulimit %s %d", limit, kibibytes)
			code := expectServedOrTold(t, what, under(fmt.Sprint(limit, " ", kibibytes)), flags...)
			if wanted != 0 && code != wanted {
				t.Errorf("%s: exit code %d", what, code)
			}
			if kibibytes > 3_000_000 && code != 0 {
				t.Errorf("%s: it does not serve", what)
			}
		}
	}
	expectRefusedStart(t, "ulimit -v", under("-v 1500000"), 78, "1.4 GiB", "ulimit -v", "--buffer-limit", "--max-connections")
	expectRefusedStart(t, "ulimit -d", under("-d 1500000"), 78, "1.4 GiB", "ulimit -d", "--buffer-limit", "--max-connections")
	// What the sentence gives as an example does.
	if code := expectServedOrTold(t, "less", under("-v 1000000"), "--reactors", "2", "--buffer-limit", "32m", "--max-connections", "1024"); code != 0 {
		t.Errorf("less than the limit is refused with %d", code)
	}
}

func TestAStartUnderAnyOtherLimitServesOrNamesIt(t *testing.T) {
	// Below the first of each, not even the loader and the shell have what they need.
	for _, limit := range []string{
		"-n 8", "-n 32", "-n 64", "-n 100", "-n 128", "-u 1", "-l 0", "-l 64", "-s 100", "-s 300", "-s 512", "-s 1024",
		"-s 100000000", "-s unlimited", "-m 1", "-i 0", "-q 0",
	} {
		expectServedOrTold(t, "ulimit "+limit, under(limit))
	}
	expectRefusedStart(t, "ulimit -n", under("-n 40"), 78, "descriptors", "ulimit -Hn")
}

func TestAStartOfAUserWithoutProcessesServesOrNamesTheLimit(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may become a user who has nothing")
	}
	drop := []string{"setpriv", "--reuid", "65432", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"}
	trial := startProcess(t, drop[0], append(drop[1:len(drop):len(drop)], program(), "--version")...)
	if trial.exitCode() != 0 {
		t.Skip("the program is not where everybody may run it")
	}
	// With the second one, reactors run when there is no thread for the next.
	for _, limit := range []string{"-u 1", "-u 3", "-l 0", "-n 100", "-s 300"} {
		command := append(append([]string{}, drop...), under(limit)...)
		expectServedOrTold(t, "a user, ulimit "+limit, command, "--reactors", "4")
	}
}

// Where the kernel counts rings as locked memory, the sentence names an amount that is enough: the user's, for root is
// not bound by it.
func TestTheAmountOfLockedMemoryThatIsNamedIsEnough(t *testing.T) {
	user := []string{"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set=-all", program()}
	if os.Getuid() != 0 || !reaches(user) {
		t.Skip("nobody else can run the program from here")
	}
	for _, flags := range [][]string{
		{"--reactors", "1"}, {"--reactors", "2"}, {"--reactors", "1", "--ring-entries", "4096"},
		{"--reactors", "3", "--ring-entries", "64"},
	} {
		command := func(kibibytes string) []string {
			return append([]string{"/bin/bash", "-c", "ulimit -l " + kibibytes + ` && exec "$0" "$@"`}, user...)
		}
		arguments := append(command("64"), append(flags, "--bind", "127.0.0.1:0")...)
		p := startProcess(t, arguments[0], arguments[1:]...)
		eventually(t, "it serves or ends", func() bool {
			return p.hasExited() || strings.Contains(p.stderr.text(), "reactor")
		})
		if !p.hasExited() {
			t.Skip("this kernel does not count rings")
		}
		match := regexp.MustCompile(`which lock up to (\d+) KiB, `).FindStringSubmatch(p.stderr.whole())
		if code := p.exitCode(); code != 71 || match == nil {
			t.Fatalf("%q ended with %d: %s", flags, code, p.stderr.text())
		}
		// The kernel takes rings apart some time after their process has ended, and counts them until then.
		eventually(t, fmt.Sprintf("a start of %q with %s KiB", flags, match[1]), func() bool {
			return expectServedOrTold(t, fmt.Sprint(flags), command(match[1]), flags...) == 0
		})
	}
}
