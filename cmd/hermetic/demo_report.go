package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"

	"github.com/hermetic-tls/hermetic"
)

// demoRow is a scenario and its result, or why it failed.
type demoRow struct {
	name, where string
	result      *result
	err         error
}

// demoReport is what the demo prints.
type demoReport []demoRow

// The widths of the output, in columns. What is not a terminal has usualWidth.
const narrowest, widest = 40, 200

// widthOf returns how wide the output is.
func widthOf(out io.Writer) int {
	f, ok := out.(*os.File)
	if !ok {
		return usualWidth
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 {
		return usualWidth
	}
	return min(max(columns, narrowest), widest)
}

// print writes the report for a width: as a table if that fits, and else with a paragraph for each
// row.
func (d demoReport) print(out io.Writer, width int) {
	paragraph := func(format string, args ...any) {
		fmt.Fprintln(out, wrap(fmt.Sprintf(format, args...), width))
	}
	paragraph("hermetic: TLS and DTLS without I/O. Both ends run in one goroutine, except in the last two rows; %s.", runtime.Version())
	fmt.Fprintln(out)
	t := d.table()
	if text.LongestLineLen(t) <= width {
		fmt.Fprintln(out, t)
	} else {
		d.list(out, width)
	}
	fmt.Fprintln(out)
	paragraph("Handshake bytes, records, time and allocations are for one handshake, client and server together, with a P-256 " +
		"certificate that is verified. After it, sealing or opening a record allocates nothing. Where datagrams are lost, the engines' " +
		"clock jumps to their next deadline: Waited is how far. In the last two rows the client changes its port halfway, and the " +
		"server, with many peers on one socket, finds it by the connection ID in its records. Next: hermetic server localhost:4433")
}

// table returns the report as a table.
func (d demoReport) table() string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"Mode", "Over", "Negotiated", "Handshake →", "← bytes", "Records", "Data", "Allocs", "Time", "Waited"})
	var right []table.ColumnConfig
	for _, name := range []string{"Records", "Data", "Allocs", "Time", "Waited"} {
		right = append(right, table.ColumnConfig{Name: name, Align: text.AlignRight})
	}
	t.SetColumnConfigs(right)
	for _, row := range d {
		if row.err != nil {
			t.AppendRow(table.Row{row.name, row.where, text.FgRed.Sprint(row.err)})
			continue
		}
		r := row.result
		t.AppendRow(table.Row{row.name, row.where, negotiated(r.state), r.handshake[0], r.handshake[1], orNothing(r.records), size(r.exchanged), orNothing(r.allocs), rounded(r.time), orNothing(r.waited)})
	}
	return t.Render()
}

// list prints the report for a narrow terminal: a line for each scenario, and its result indented.
func (d demoReport) list(out io.Writer, width int) {
	const indent = "  "
	for _, row := range d {
		fmt.Fprintln(out, wrap(row.name+" ("+row.where+")", width))
		details := []string{text.FgRed.Sprint(row.err)}
		if row.err == nil {
			details = row.result.details()
		}
		for _, line := range details {
			fmt.Fprintln(out, indent+strings.ReplaceAll(wrap(line, width-len(indent)), "\n", "\n"+indent))
		}
	}
}

// details says in words what the table has in columns.
func (r *result) details() []string {
	cost := []string{fmt.Sprintf("handshake %d → ← %d bytes", r.handshake[0], r.handshake[1])}
	if r.records > 0 {
		cost = append(cost, fmt.Sprintf("%d records", r.records))
	}
	if r.allocs > 0 {
		cost = append(cost, fmt.Sprintf("%d allocs", r.allocs))
	}
	cost = append(cost, rounded(r.time).String(), size(r.exchanged)+" data")
	if r.waited > 0 {
		cost = append(cost, fmt.Sprintf("waited %v", r.waited))
	}
	return []string{negotiated(r.state), strings.Join(cost, ", ")}
}

// wrap breaks lines between words, and long words anywhere.
func wrap(s string, width int) string {
	lines := strings.Split(text.WrapSoft(s, width), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func rounded(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// orNothing omits what a transport does not count.
func orNothing[T ~int | ~int64 | ~uint64](n T) any {
	if n == 0 {
		return ""
	}
	return n
}

// negotiated returns the cipher, without what the version implies, and the group.
func negotiated(s hermetic.ConnectionState) string {
	cipher := strings.TrimPrefix(hermetic.CipherSuiteName(s.CipherSuite), "TLS_")
	if _, rest, ok := strings.Cut(cipher, "_WITH_"); ok {
		cipher = rest
	}
	return fmt.Sprintf("%s, %s", cipher, groupName(s.CurveID))
}

func size(n int) string { return fmt.Sprintf("%d KiB", n>>10) }
