package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// progress says on a terminal what is being measured.
type progress struct {
	out      io.Writer
	terminal bool
}

func newProgress(f *os.File) *progress {
	return &progress{f, term.IsTerminal(int(f.Fd()))}
}

func (p *progress) now(what string) {
	if p.terminal {
		fmt.Fprintf(p.out, "\r\033[K%s", what)
	}
}

func (p *progress) done() { p.now("") }

// print writes the table, section by section.
func (r *result) print(w io.Writer) error {
	if f, ok := w.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		text.DisableColors()
	}
	if _, err := fmt.Fprintln(w, r.Machine); err != nil {
		return err
	}
	if r.Quick {
		fmt.Fprintln(w, "--quick: the figures mean little")
	}
	for rows := r.Rows; len(rows) > 0; {
		n := slices.IndexFunc(rows, func(row measuredRow) bool { return row.Section != rows[0].Section })
		if n < 0 {
			n = len(rows)
		}
		if _, err := fmt.Fprintf(w, "\n%s\n%s\n", text.Bold.Sprint(rows[0].Section), sectionTable(rows[:n])); err != nil {
			return err
		}
		for _, reason := range missingFrom(rows[:n]) {
			fmt.Fprintln(w, reason)
		}
		rows = rows[n:]
	}
	return printGoals(w, r.Goals)
}

// sectionTable has a line for each contestant of each row.
func sectionTable(rows []measuredRow) string {
	lines := sectionLines(rows)
	t := newTable(lines[0])
	for i, line := range lines[1:] {
		if i > 0 && line[0] != "" {
			t.AppendSeparator()
		}
		t.AppendRow(cells(line))
	}
	return t.Render()
}

// newTable returns a table whose columns are aligned to the right, but the first two.
func newTable(head []string) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	var columns []table.ColumnConfig
	for i := 2; i < len(head); i++ {
		columns = append(columns, table.ColumnConfig{Number: i + 1, Align: text.AlignRight})
	}
	t.SetColumnConfigs(columns)
	t.AppendHeader(cells(head))
	return t
}

func cells(line []string) (row table.Row) {
	for _, s := range line {
		row = append(row, s)
	}
	return row
}

// sectionLines are the lines of a section's table, the head first. The first of a row has its name.
func sectionLines(rows []measuredRow) [][]string {
	shown, others := measuresOf(rows), othersOf(rows)
	head := []string{"work", ""}
	for _, m := range shown {
		head = append(head, string(m))
	}
	for _, name := range others {
		head = append(head, "× "+name)
	}
	lines := [][]string{head}
	for _, row := range rows {
		for k, c := range row.Contestants {
			line := []string{"", c.Name}
			if k == 0 {
				line[0] = row.Name
			}
			for _, m := range shown {
				line = append(line, showFigure(m, c.Figures))
			}
			for _, name := range others {
				line = append(line, showVersus(c.Ratios, name))
			}
			lines = append(lines, line)
		}
	}
	return lines
}

// missingFrom says which contestants are missing, and why.
func missingFrom(rows []measuredRow) (list []string) {
	for _, row := range rows {
		for _, c := range row.Contestants {
			if line := c.Name + ": " + c.Missing; c.Missing != "" && !slices.Contains(list, line) {
				list = append(list, line)
			}
		}
	}
	return list
}

// kindOf is what a contestant is: a floor with circl is a floor.
func kindOf(name string) string {
	name, _, _ = strings.Cut(name, " with ")
	return name
}

// othersOf are the kinds of contestants that others are compared with.
func othersOf(rows []measuredRow) (list []string) {
	for _, row := range rows {
		for _, compared := range row.Contestants {
			for _, c := range row.Contestants {
				if _, ok := compared.Ratios[c.Name]; ok && !slices.Contains(list, kindOf(c.Name)) {
					list = append(list, kindOf(c.Name))
				}
			}
		}
	}
	return list
}

// showVersus shows the ratio to a kind of contestants.
func showVersus(ratios map[string]figure, kind string) string {
	for name, f := range ratios {
		if kindOf(name) == kind {
			return showRatio(f.Median)
		}
	}
	return ""
}

// measuresOf are the measures that the rows have.
func measuresOf(rows []measuredRow) (list []measure) {
	for _, row := range rows {
		for _, c := range row.Contestants {
			for m := range c.Figures {
				if !slices.Contains(list, m) {
					list = append(list, m)
				}
			}
		}
	}
	slices.SortFunc(list, func(a, b measure) int { return a.order() - b.order() })
	return list
}

// showFigure is a figure with its spread, if that is not too small to see.
func showFigure(m measure, figures map[measure]figure) string {
	f, ok := figures[m]
	if !ok {
		return ""
	}
	s := m.show(f.Median)
	if f.Median > 0 && f.spread() >= f.Median/1000 {
		s += fmt.Sprintf(" ± %.1f%%", 100*f.spread()/f.Median)
	}
	return s
}

func showTime(ns float64) string {
	switch {
	case ns < 1e3:
		return threeDigits(ns) + " ns"
	case ns < 1e6:
		return threeDigits(ns/1e3) + " µs"
	case ns < 1e9:
		return threeDigits(ns/1e6) + " ms"
	}
	return threeDigits(ns/1e9) + " s"
}

func showCount(n float64) string { return strconv.FormatFloat(math.Round(n), 'f', 0, 64) }

func showBytes(n float64) string {
	switch {
	case n < 1<<10:
		return showCount(n) + " B"
	case n < 1<<20:
		return threeDigits(n/(1<<10)) + " KB"
	}
	return threeDigits(n/(1<<20)) + " MB"
}

func showRatio(r float64) string { return strconv.FormatFloat(r, 'f', 2, 64) }

// threeDigits shows as many decimals as three digits leave.
func threeDigits(v float64) string {
	switch {
	case v < 9.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}
