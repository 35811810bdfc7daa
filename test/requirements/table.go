package requirements

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A row of docs/requirements.md.
type row struct {
	section string
	begins  string // the words that its sentence begins with
	shown   string // what shows that we keep to it
}

// parse reads the tables of docs/requirements.md, by their headings.
func parse(page string) map[string][]row {
	tables := map[string][]row{}
	heading := ""
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "## "); ok {
			heading = name
		}
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) != 3 || strings.TrimSpace(cells[0]) == "section" {
			continue
		}
		tables[heading] = append(tables[heading], row{strings.TrimSpace(cells[0]), cells[1], strings.TrimSpace(cells[2])})
	}
	return tables
}

// of reports whether the row is that of a sentence.
func (r row) of(s sentence) bool {
	return r.section == s.section && (r.begins == s.text || strings.HasPrefix(s.text, r.begins+" "))
}

// compare finds what is wrong between a specification and its table: sentences without a
// row, rows without a sentence or with several, and rows that are out of order.
func compare(spec []sentence, table []row) (faults []string) {
	at := -1
	for _, r := range table {
		var of []int
		for i, s := range spec {
			if r.of(s) {
				of = append(of, i)
			}
		}
		switch {
		case len(of) == 0:
			faults = append(faults, fmt.Sprintf("Section %s has no sentence that begins with %q", r.section, r.begins))
		case len(of) > 1:
			faults = append(faults, fmt.Sprintf("Section %s has %d sentences that begin with %q", r.section, len(of), r.begins))
		case of[0] == at:
			faults = append(faults, fmt.Sprintf("two rows are of Section %s, %q", r.section, r.begins))
		case of[0] < at:
			faults = append(faults, fmt.Sprintf("Section %s, %q, comes too late in the table", r.section, r.begins))
		}
		if len(of) == 1 {
			at = max(at, of[0])
		}
	}
	for i, s := range spec {
		if !slices.ContainsFunc(table, func(r row) bool { return r.of(s) }) {
			faults = append(faults, fmt.Sprintf("no row: | %s | %s | … |", s.section, beginning(spec, i)))
		}
	}
	return faults
}

// beginning returns the fewest words, at least six, that only this sentence of its section
// begins with.
func beginning(spec []sentence, i int) string {
	words := strings.Fields(spec[i].text)
	for n := min(6, len(words)); ; n++ {
		r := row{section: spec[i].section, begins: strings.Join(words[:n], " ")}
		others := 0
		for _, s := range spec {
			if r.of(s) {
				others++
			}
		}
		if others == 1 || n == len(words) {
			return r.begins
		}
	}
}

// evidence is what a row may name.
type evidence struct {
	tests  map[string]map[string]bool // the cases of a test, package.TestName
	runner func(name string) error    // why a test of the runner shows nothing, if it does not
}

var (
	ours    = regexp.MustCompile("^`([a-z0-9]+\\.Test[A-Za-z0-9_]+)`(?:: (.+))?$")
	runners = regexp.MustCompile("^runner: `([^`]+)`$")
	named   = regexp.MustCompile("`([^`]+)`")
)

// check finds what is wrong with what a row names.
func (e *evidence) check(r row) (faults []string) {
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Sprintf("Section %s, %q: ", r.section, r.begins)+fmt.Sprintf(format, args...))
	}
	for item := range strings.SplitSeq(r.shown, "; ") {
		if reason, ok := strings.CutPrefix(item, "not applicable:"); ok {
			if len(strings.Fields(reason)) < 2 {
				fault("not applicable, without a reason")
			}
			continue
		}
		if reason, ok := strings.CutPrefix(item, "the runner demands otherwise:"); ok {
			name := named.FindStringSubmatch(reason)
			if name == nil || len(strings.Fields(reason)) < 2 {
				fault("the runner demands otherwise, without the name of its test and what is in it")
			} else if err := e.runner(name[1]); err != nil {
				fault("%v", err)
			}
			continue
		}
		if m := runners.FindStringSubmatch(item); m != nil {
			if err := e.runner(m[1]); err != nil {
				fault("%v", err)
			}
			continue
		}
		m := ours.FindStringSubmatch(item)
		if m == nil {
			fault("%q names no test", item)
			continue
		}
		if cases, ok := e.tests[m[1]]; !ok {
			fault("there is no test %s", m[1])
		} else if m[2] != "" && !cases[m[2]] {
			fault("the file of %s has no case %q", m[1], m[2])
		}
	}
	return faults
}
