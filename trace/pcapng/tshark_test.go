package pcapng_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/trace"
	"github.com/hermetic-tls/hermetic/trace/pcapng"
)

// text is what both sides say. It fits a line of a dump.
const text = "hermetic says hi"

// capture makes a connection, and returns the packets that one side has seen.
func capture(t *testing.T, datagram bool, version uint16, secrets bool, observer trace.Side) []byte {
	t.Helper()
	var file bytes.Buffer
	w := pcapng.NewWriter(&file, nil)
	ca := pkitest.CA(t)
	now := func() time.Time { return pkitest.Now }
	client := &hermetic.Config{Time: now, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version, MinVersion: version}
	server := &hermetic.Config{Time: now, Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}}
	server.DTLS.TrustAddress = true
	observed := client
	if observer == trace.Server {
		observed = server
	}
	observed.Trace = w.Write
	if secrets {
		observed.KeyLogWriter = w.KeyLog()
	}
	modes := [2]hermetic.Mode{hermetic.TLSClient, hermetic.TLSServer}
	if datagram {
		modes = [2]hermetic.Mode{hermetic.DTLSClient, hermetic.DTLSServer}
	}
	var engines [2]*hermetic.Engine
	for i, cfg := range []*hermetic.Config{client, server} {
		var err error
		if engines[i], err = hermetic.NewEngine(modes[i], cfg); err != nil {
			t.Fatal(err)
		}
	}
	open := func(e *hermetic.Engine, in []byte) {
		for len(in) > 0 {
			o, err := e.Open(in)
			if err != nil {
				t.Fatal(err)
			}
			in = in[o.N:]
		}
	}
	for range 4 {
		for i := range engines {
			for engines[i].HasOutput() {
				open(engines[1-i], engines[i].Output(nil))
			}
		}
	}
	for i := range engines {
		out, err := engines[i].Seal(nil, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		open(engines[1-i], out)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// tshark dissects a file.
func tshark(t *testing.T, file []byte, args ...string) string {
	t.Helper()
	program, err := exec.LookPath("tshark")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("tshark is not installed")
		}
		t.Skip("tshark is not installed: apt-get install tshark")
	}
	name := filepath.Join(t.TempDir(), "trace.pcapng")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append([]string{"-r", name}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, complaints.String())
	}
	return string(out)
}

// knowsDTLS13 reports whether tshark dissects the unified header.
func knowsDTLS13(t *testing.T) bool {
	out, err := exec.Command("tshark", "-G", "fields").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "\tdtls.") && strings.Contains(strings.ToLower(line), "unified") {
			return true
		}
	}
	return false
}

// TestTshark: tshark reads the packets, finds nothing wrong in them, and decrypts them with the
// secrets in the file. Without those it does not.
func TestTshark(t *testing.T) {
	if testing.Short() {
		t.Skip("with an emulated processor it takes minutes")
	}
	args := []string{"-V", "-x", "-d", "udp.port==4433,dtls"}
	for _, protocol := range []string{"ip", "tcp", "udp"} {
		args = append(args, "-o", protocol+".check_checksum:TRUE")
	}
	for _, c := range []struct {
		name     string
		datagram bool
		version  uint16
	}{
		{"TLS 1.2", false, tls.VersionTLS12},
		{"TLS 1.3", false, tls.VersionTLS13},
		{"DTLS 1.2", true, tls.VersionTLS12},
		{"DTLS 1.3", true, tls.VersionTLS13},
	} {
		for _, observer := range []trace.Side{trace.Client, trace.Server} {
			if observer == trace.Server && c.datagram {
				continue // each run takes a second
			}
			t.Run(c.name+" "+string(observer), func(t *testing.T) {
				secrets := observer == trace.Client || c.version == tls.VersionTLS13
				out := tshark(t, capture(t, c.datagram, c.version, secrets, observer), args...)
				if !strings.Contains(out, "Client Hello") || !strings.Contains(out, "Server Hello") {
					t.Error("the hellos are not recognized")
				}
				if strings.Contains(out, "hecksum status: Bad") || strings.Contains(out, "hecksum Status: Bad") || !strings.Contains(out, "hecksum Status: Good") {
					t.Error("a checksum is wrong")
				}
				if strings.Contains(out, "not seen") || strings.Contains(out, "out-of-order") {
					t.Error("a sequence number of TCP is wrong")
				}
				if c.datagram && c.version == tls.VersionTLS13 && !knowsDTLS13(t) {
					t.Log("this tshark does not know DTLS 1.3")
					return
				}
				if strings.Contains(out, "Malformed") {
					t.Error("a packet is malformed")
				}
				n := strings.Count(out, fmt.Sprintf("% x", text))
				if want := map[bool]int{true: 2}[secrets]; n < want || n > 0 && !secrets {
					t.Errorf("with secrets: %v, and the text is there %d times", secrets, n)
				}
			})
		}
	}
}
