package endtoend

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The pages whose commands and programs are run as they are printed.
func pages(t *testing.T) []string {
	t.Helper()
	all := []string{"README.md"}
	for _, folder := range []string{"Sources/socketmaster/Manual.docc", "Sources/SocketMaster/SocketMaster.docc"} {
		articles, err := filepath.Glob(filepath.Join(checkout(t), folder, "*.md"))
		if err != nil || len(articles) == 0 {
			t.Fatal("no articles in", folder, err)
		}
		for _, article := range articles {
			all = append(all, filepath.Join(folder, filepath.Base(article)))
		}
	}
	return all
}

// checkout is where the sources lie that these tests were built from.
func checkout(t *testing.T) string {
	t.Helper()
	here, err := filepath.Abs(".")
	if err == nil {
		here, err = filepath.EvalSymlinks(here)
	}
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(filepath.Dir(here))
}

// printedBlock is what a page prints between two fences.
type printedBlock struct {
	page     string
	line     int
	language string
	text     string
}

// name says where the block is: its page, and its first line.
func (b printedBlock) name() string {
	first := b.text
	if end := strings.IndexByte(first, '\n'); end >= 0 {
		first = first[:end]
	}
	return filepath.Base(b.page) + ": " + strings.TrimSpace(first)
}

func (b printedBlock) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// blocks are all of a page. One that is merely indented counts as well: it is a fault, for nobody can tell its language.
func blocks(t *testing.T, page string) (all []printedBlock) {
	t.Helper()
	bytes, err := os.ReadFile(filepath.Join(checkout(t), page))
	if err != nil {
		t.Fatal(err)
	}
	var current *printedBlock
	before := ""
	for index, line := range strings.Split(string(bytes), "\n") {
		fence := strings.HasPrefix(line, "```")
		switch {
		case current != nil && fence:
			all = append(all, *current)
			current = nil
		case current != nil:
			current.text += line + "\n"
		case fence:
			current = &printedBlock{page: page, line: index + 1, language: strings.TrimPrefix(line, "```")}
		case before == "" && strings.HasPrefix(line, "    "):
			t.Errorf("%s:%d: a block without fences", page, index+1)
		}
		before = strings.TrimSpace(line)
	}
	if current != nil {
		t.Errorf("%v: a fence that is not closed", *current)
	}
	return all
}

// What is printed works: every block of every page has its way of being run, and every way its block.
func TestWhatIsPrintedWorks(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, page := range pages(t) {
		for _, b := range blocks(t, page) {
			b, run := b, printed[b.name()]
			if run == nil {
				t.Errorf("%v: nobody runs %q", b, b.name())
				continue
			}
			found[b.name()] = true
			t.Run(fmt.Sprint(filepath.Base(b.page), ":", b.line), func(t *testing.T) {
				t.Parallel()
				run(t, b)
			})
		}
	}
	for name := range printed {
		if !found[name] {
			t.Errorf("no page prints %q", name)
		}
	}
}

// Every flag of the program is in the manual's table, with the default that it has, and no other.
func TestTheManualHasEveryFlag(t *testing.T) {
	help, err := exec.Command(program(), "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(checkout(t), "Sources/socketmaster/Manual.docc/Flags.md"))
	if err != nil {
		t.Fatal(err)
	}
	said, told := map[string]bool{}, map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^  (?:-h, )?(--[a-z-]+)`).FindAllStringSubmatch(string(help), -1) {
		said[match[1]] = true
	}
	table := strings.Split(strings.Split(string(page), "## All of them")[1], "\n## ")[0]
	for _, row := range regexp.MustCompile("(?m)^\\| (`--[^|]*)\\|").FindAllStringSubmatch(table, -1) {
		for _, match := range regexp.MustCompile("`(--[a-z-]+)").FindAllStringSubmatch(row[1], -1) {
			told[match[1]] = true
		}
	}
	if len(said) < 30 {
		t.Fatalf("the help has only %d flags", len(said))
	}
	for flag := range said {
		if !told[flag] {
			t.Errorf("the manual does not have %s", flag)
		}
	}
	for flag := range told {
		if !said[flag] {
			t.Errorf("the program does not have %s", flag)
		}
	}
}
