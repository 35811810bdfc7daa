package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// The documentation has one table for each section, between two lines:
//
//	<!-- bench: Handshakes -->
//	<!-- /bench -->
const docsEnd = "<!-- /bench -->"

func docsStart(section string) string { return "<!-- bench: " + section + " -->" }

// writeDocs writes the tables of the measured sections into a Markdown file. A section that was
// measured in parts would mix figures of several runs, and is refused.
func (r *result) writeDocs(file string, all []section) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for _, s := range all {
		rows := r.section(s.name)
		if len(rows) == 0 {
			continue
		}
		for _, row := range s.rows() {
			if !slices.ContainsFunc(rows, func(m measuredRow) bool { return m.Name == row.name }) {
				return misuse("--docs: %s needs all of its rows, but %q is not measured", s.name, row.name)
			}
		}
		body := r.Machine.String() + ".\n\n" + markdown(rows, s.detailed) + goalsMarkdown(r.goalsOf(rows))
		if text, err = between(text, docsStart(s.name), body); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return os.WriteFile(file, text, 0o644)
}

// section returns the rows of a section.
func (r *result) section(name string) (rows []measuredRow) {
	for _, row := range r.Rows {
		if row.Section == name {
			rows = append(rows, row)
		}
	}
	return rows
}

// goalsOf returns the goals for rows.
func (r *result) goalsOf(rows []measuredRow) (list []judgment) {
	for _, j := range r.Goals {
		if slices.ContainsFunc(rows, func(m measuredRow) bool { return m.Name == j.Row }) {
			list = append(list, j)
		}
	}
	return list
}

// between replaces what is between a line and the next end.
func between(text []byte, start, body string) ([]byte, error) {
	before, rest, ok := strings.Cut(string(text), start+"\n")
	if !ok {
		return nil, fmt.Errorf("it has no line %s", start)
	}
	old, after, ok := strings.Cut(rest, docsEnd)
	if !ok || strings.Contains(old, "<!-- bench: ") {
		return nil, fmt.Errorf("it has no line %s after %s", docsEnd, start)
	}
	return []byte(before + start + "\n\n" + body + "\n" + docsEnd + after), nil
}

// markdown returns the table of a section. A detailed one has a line for each contestant. Another one
// has a line for each row, with the main measure of all contestants and the other measures of the
// first.
func markdown(rows []measuredRow, detailed bool) string {
	var lines [][]string
	if detailed {
		lines = sectionLines(rows)
	} else {
		lines = shortLines(rows)
	}
	return markdownTable(lines)
}

// markdownTable aligns all columns but the names to the right.
func markdownTable(lines [][]string) string {
	var b strings.Builder
	for i, line := range lines {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(line, " | "))
		if i == 0 {
			b.WriteString("|---|" + strings.Repeat("--:|", len(line)-1) + "\n")
		}
	}
	return b.String()
}

func shortLines(rows []measuredRow) [][]string {
	contestants, kinds := contestantsOf(rows), othersOf(rows)
	others := measuresOf(rows)
	others = slices.DeleteFunc(others, func(m measure) bool { return m == rows[0].Measure || m == garbage })
	head := append([]string{string(rows[0].Measure)}, contestants...)
	head = append(head, "spread")
	for _, kind := range kinds {
		head = append(head, "× "+kind)
	}
	for _, m := range others {
		head = append(head, string(m))
	}
	lines := [][]string{head}
	for _, row := range rows {
		line := []string{row.Name}
		for _, name := range contestants {
			f, ok := row.of(name, row.Measure)
			line = append(line, optional(ok, row.Measure.show, f.Median))
		}
		line = append(line, row.spread())
		for _, kind := range kinds {
			line = append(line, row.ratiosTo(kind))
		}
		for _, m := range others {
			f, ok := row.Contestants[0].Figures[m]
			line = append(line, optional(ok, m.show, f.Median))
		}
		lines = append(lines, line)
	}
	return lines
}

func optional(ok bool, show func(float64) string, v float64) string {
	if !ok {
		return ""
	}
	return show(v)
}

// spread is the largest of the row's contestants.
func (r *measuredRow) spread() string {
	var most float64
	for _, c := range r.Contestants {
		if f, ok := c.Figures[r.Measure]; ok && f.Median > 0 {
			most = max(most, f.spread()/f.Median)
		}
	}
	return fmt.Sprintf("± %.0f%%", 100*most)
}

// ratiosTo has the ratio of each contestant that is compared with that kind.
func (r *measuredRow) ratiosTo(kind string) string {
	var list []string
	for _, c := range r.Contestants {
		if ratio := showVersus(c.Ratios, kind); ratio != "" {
			list = append(list, ratio)
		}
	}
	return strings.Join(list, ", ")
}

func contestantsOf(rows []measuredRow) (list []string) {
	for _, row := range rows {
		for _, c := range row.Contestants {
			if !slices.Contains(list, c.Name) {
				list = append(list, c.Name)
			}
		}
	}
	return list
}

func goalsMarkdown(list []judgment) string {
	if len(list) == 0 {
		return ""
	}
	lines := [][]string{{"goal", "of", "bound", "measured", "quartiles", "verdict"}}
	for _, j := range list {
		lines = append(lines, j.line())
	}
	return "\n" + markdownTable(lines)
}
