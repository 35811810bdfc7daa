package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// conformance counts verdicts by pass, protocol and group.
type conformance struct {
	rows   []row // in the order in which they were first counted
	counts map[row]map[string]int
}

type row struct{ pass, protocol, group string }

func (c *conformance) add(pass string, t test, verdict string) {
	if c.counts == nil {
		c.counts = map[row]map[string]int{}
	}
	r := row{pass, t.protocol, t.group}
	if c.counts[r] == nil {
		c.counts[r] = map[string]int{}
		c.rows = append(c.rows, r)
	}
	c.counts[r][verdict]++
}

// check compares the counts with docs/conformance.md, or writes it.
func (c *conformance) check(t *testing.T) {
	const file = "../../docs/conformance.md"
	want := c.page()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/conformance.md is out of date: go test . -update writes\n%s", want)
	}
}

// page is docs/conformance.md.
func (c *conformance) page() string {
	var b strings.Builder
	b.WriteString(intro)
	columns := []string{passed, byRule, excludedTest, declined, notBuilt}
	fmt.Fprintf(&b, "| API | protocol | group | %s |\n|---|---|---|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, p := range passes {
		rows := slices.DeleteFunc(slices.Clone(c.rows), func(r row) bool { return r.pass != p.name })
		slices.SortFunc(rows, func(a, b row) int {
			return -strings.Compare(a.protocol, b.protocol)*2 + strings.Compare(a.group, b.group)
		})
		for _, r := range rows {
			fmt.Fprintf(&b, "| %s | %s | %s |", r.pass, r.protocol, r.group)
			for _, column := range columns {
				fmt.Fprintf(&b, " %d |", c.counts[r][column])
			}
			b.WriteString("\n")
		}
	}
	b.WriteString(declinedIntro)
	byReason(&b, declines, func(d decline) string { return d.reason + " (" + d.section + ")" })
	b.WriteString(unbuiltIntro)
	byReason(&b, unbuilt, func(reason string) string { return reason })
	return b.String()
}

// wrapped breaks an item of a list into lines of at most 120 columns.
func wrapped(item string) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(item) {
		switch {
		case i == 0:
		case column+1+len(word) > 120:
			b.WriteString("\n  ")
			column = 2
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

// byReason lists tests below the reasons that they share.
func byReason[T any](b *strings.Builder, tests map[string]T, reason func(T) string) {
	names := map[string][]string{}
	for name, t := range tests {
		names[reason(t)] = append(names[reason(t)], name)
	}
	for _, r := range slices.Sorted(maps.Keys(names)) {
		b.WriteString(wrapped("- "+r+":") + "\n")
		for _, name := range slices.Sorted(slices.Values(names[r])) {
			fmt.Fprintf(b, "  - `%s`\n", name)
		}
	}
}

const intro = `# Conformance

BoringSSL's test runner, commit a0689af, tries protocol errors and rare paths that no ordinary peer shows. Each of its
tests that applies to hermetic runs through the Engine, through a Context over a transport that would block before each
byte, and through netconn. [test/bogo](../test/bogo/README.md) says how to run it; these counts are written by it.

[Requirements](requirements.md) lists each MUST and MUST NOT of RFC 9846 and RFC 9147bis, with the test that shows it.

- **passed**: the runner has nothing against it.
- **by rule**: the result differs from the runner's, as a rule of the pass says. The rules are in test/bogo/expected_test.go:
  an engine without TrustUnprotected drops what anybody may have sent, our own choice and verification of certificates are
  not the runner's callbacks, and netconn reads while its user writes.
- **excluded**: the API has no such thing: netconn has the system's clock, not the runner's, and no unfinished writes.
- **declined** and **not built** are listed below, by name. What is declined runs, and must fail for its reason.

`
const declinedIntro = "\n## Declined\n\n"
const unbuiltIntro = "\n## Not built\n\nThe shim does not know a flag of these tests.\n\n"
