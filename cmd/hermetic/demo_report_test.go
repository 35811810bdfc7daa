package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/hermetic-tls/hermetic"
)

// longReport has the widest values, and a failure.
func longReport() (d demoReport) {
	for _, s := range scenarios() {
		d = append(d, demoRow{name: s.name, where: s.where, result: &result{
			state:     hermetic.ConnectionState{CipherSuite: tls.TLS_CHACHA20_POLY1305_SHA256, CurveID: tls.SecP384r1MLKEM1024},
			handshake: [2]int{123456, 123456}, records: 123, exchanged: 512 << 10, allocs: 123456, time: 123 * time.Millisecond, waited: 123 * time.Second,
		}})
	}
	d[2].err = errors.New("a failure in a few words")
	return d
}

// TestDemoWidth: at each width every line fits, and nothing is left out.
func TestDemoWidth(t *testing.T) {
	d := longReport()
	for width := narrowest; width <= widest; width++ {
		d[1].err = nil
		if width%2 == 0 { // else there would never be a table
			d[1].err = errors.New(strings.Repeat("long", 100))
		}
		var b bytes.Buffer
		d.print(&b, width)
		for line := range strings.Lines(b.String()) {
			if n := text.StringWidthWithoutEscSequences(strings.TrimSuffix(line, "\n")); n > width {
				t.Fatalf("at %d columns a line has %d: %q", width, n, line)
			}
		}
		words := strings.Join(strings.Fields(b.String()), " ")
		for _, row := range d {
			if !strings.Contains(words, row.name) {
				t.Fatalf("at %d columns %s is missing", width, row.name)
			}
		}
		if got, want := strings.Count(words, "512 KiB"), len(d)-2+width%2; got != want {
			t.Fatalf("at %d columns there are %d results, want %d", width, got, want)
		}
	}
}

// TestDemoForms: a table where it fits, and a list elsewhere.
func TestDemoForms(t *testing.T) {
	d := longReport()
	for width, table := range map[int]bool{narrowest: false, usualWidth: false, widest: true} {
		var b bytes.Buffer
		d.print(&b, width)
		if got := strings.Contains(b.String(), "│"); got != table {
			t.Errorf("at %d columns there is a table: %t", width, got)
		}
	}
}

// TestWidthOf: the terminal's width, within bounds; 80 for anything else.
func TestWidthOf(t *testing.T) {
	master, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer terminal.Close()
	for columns, want := range map[uint16]int{1: 40, 40: 40, 80: 80, 133: 133, 200: 200, 201: 200, 65535: 200, 0: 80} {
		if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: columns}); err != nil {
			t.Fatal(err)
		}
		if got := widthOf(terminal); got != want {
			t.Errorf("of a terminal with %d columns: %d, want %d", columns, got, want)
		}
	}
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, out := range []io.Writer{file, new(bytes.Buffer)} {
		if got := widthOf(out); got != 80 {
			t.Errorf("of a %T: %d, want 80", out, got)
		}
	}
}
