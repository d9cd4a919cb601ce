package endtoend

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The page of the manual has each metric with its type, and no other.
func TestTheManualHasEveryMetricAndNoOther(t *testing.T) {
	o := observe(t)
	served := map[string]string{}
	for _, line := range strings.Split(o.fetch("/metrics"), "\n") {
		if words := strings.Fields(line); len(words) == 4 && words[0] == "#" && words[1] == "TYPE" {
			served[words[2]] = words[3]
		}
	}
	page, err := os.ReadFile(filepath.Join(checkout(t), "Sources/socketmaster/Manual.docc/Metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	row := regexp.MustCompile("(?m)^\\| (`[a-z0-9_`, ]+`) \\| ([^|]*) \\|")
	for _, cells := range row.FindAllStringSubmatch(string(page), -1) {
		for _, name := range strings.Split(strings.ReplaceAll(cells[1], "`", ""), ", ") {
			if !strings.HasPrefix(name, "socketmaster_") && !strings.HasPrefix(name, "process_") {
				continue
			}
			told[name] = true
			kind, isServed := served[name]
			if !isServed {
				t.Errorf("there is no metric %s", name)
			} else if types := " counter gauge histogram "; strings.Contains(types, " "+cells[2]+" ") && kind != cells[2] {
				t.Errorf("%s is a %s, and no %s", name, kind, cells[2])
			}
		}
	}
	for name := range served {
		if !told[name] {
			t.Errorf("the manual does not have %s", name)
		}
	}
}
