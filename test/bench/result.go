package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
)

// A result is everything that a run has measured.
type result struct {
	Machine machine       `json:"machine"`
	Quick   bool          `json:"quick,omitempty"` // the figures mean little
	Rows    []measuredRow `json:"rows"`
	Goals   []judgment    `json:"goals"` // those for these rows
}

// A measuredRow is a row of the table.
type measuredRow struct {
	Section     string               `json:"section"`
	Name        string               `json:"name"`
	Measure     measure              `json:"measure"` // what the contestants are compared by
	Contestants []measuredContestant `json:"contestants"`
}

// A measuredContestant is one contestant of a row.
type measuredContestant struct {
	Name    string             `json:"name"`
	Figures map[measure]figure `json:"figures"`
	Ratios  map[string]figure  `json:"ratios,omitempty"`  // to other contestants, by their names
	Missing string             `json:"missing,omitempty"` // why there are no figures
}

func (r *result) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// readResult reads what writeJSON has written.
func readResult(file string) (*result, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := new(result)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s is not the output of --json: %w", file, err)
	}
	if err := r.valid(); err != nil {
		return nil, fmt.Errorf("%s is not the output of --json: %w", file, err)
	}
	return r, nil
}

// valid refuses what --json never writes.
func (r *result) valid() error {
	if len(r.Rows) == 0 {
		return errors.New("it has no rows")
	}
	for _, row := range r.Rows {
		if len(row.Contestants) == 0 {
			return fmt.Errorf("the row %q has no contestants", row.Name)
		}
		for _, c := range row.Contestants {
			for m := range c.Figures {
				if !m.known() {
					return fmt.Errorf("unknown measure %q", m)
				}
			}
		}
		if !row.Measure.known() {
			return fmt.Errorf("unknown measure %q", row.Measure)
		}
	}
	return nil
}

// A machine is what the figures depend on. It does not name the host.
type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	Go     string `json:"go"`
	Commit string `json:"commit"`
}

func thisMachine() machine {
	return machine{CPU: cpuName(), Cores: runtime.NumCPU(), OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version(), Commit: commit()}
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d cores, %s/%s, %s, commit %s", m.CPU, m.Cores, m.OS, m.Arch, m.Go, m.Commit)
}

// cpuName is the processor's name, where Linux tells it.
func cpuName() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// commit is the revision of the source, with a + if it has been changed since. go run does not
// record it, so git is asked.
func commit() string {
	var revision, changed string
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				revision = s.Value[:min(len(s.Value), 12)]
			case "vcs.modified":
				changed = map[string]string{"true": "+"}[s.Value]
			}
		}
	}
	if revision == "" {
		out, _ := exec.Command("git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*").Output()
		revision = strings.TrimSpace(string(out))
	}
	return cmp.Or(revision+changed, "unknown")
}
