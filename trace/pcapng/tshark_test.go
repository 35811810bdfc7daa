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

// capture makes a connection on which both sides say text, and returns the packets that one side
// has seen.
func capture(t *testing.T, datagram bool, version uint16, secrets bool, observer trace.Side) []byte {
	t.Helper()
	var file bytes.Buffer
	w := pcapng.NewWriter(&file, nil)
	captureTo(t, w, 0, "hermetic says hi", datagram, version, secrets, observer)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// captureTo is capture for a file with more than one connection: first is added to their numbers.
func captureTo(t *testing.T, w *pcapng.Writer, first uint64, text string, datagram bool, version uint16, secrets bool, observer trace.Side) {
	t.Helper()
	ca := pkitest.CA(t)
	now := func() time.Time { return pkitest.Now }
	client := &hermetic.Config{Time: now, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version, MinVersion: version}
	server := &hermetic.Config{Time: now, Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}}
	server.DTLS.TrustAddress = true
	observed := client
	if observer == trace.Server {
		observed = server
	}
	observed.Trace = func(e trace.Event) {
		e.Conn += first
		w.Write(e)
	}
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
}

// find finds tshark, which CI must have.
func find(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("tshark")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("tshark is not installed")
		}
		t.Skip("tshark is not installed: apt-get install tshark")
	}
	return program
}

// tshark dissects a file.
func tshark(t *testing.T, file []byte, args ...string) string {
	t.Helper()
	program := find(t)
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
	out, err := exec.Command(find(t), "-G", "fields").Output()
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
	protocols := map[string]protocol{"TLS 1.2 says hi": {false, tls.VersionTLS12}, "TLS 1.3 says hi": {false, tls.VersionTLS13}, "DTLS 1.2 says hi": {true, tls.VersionTLS12}}
	if knowsDTLS13(t) {
		protocols["DTLS 1.3 says hi"] = protocol{true, tls.VersionTLS13}
	} else {
		t.Log("this tshark does not know DTLS 1.3")
	}
	for _, secrets := range []bool{true, false} {
		var file bytes.Buffer
		w := pcapng.NewWriter(&file, nil)
		first := uint64(0)
		for text, p := range protocols {
			for _, observer := range []trace.Side{trace.Client, trace.Server} {
				first += 10
				captureTo(t, w, first, text, p.datagram, p.version, secrets, observer)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		out := tshark(t, file.Bytes(), args...)
		if n := strings.Count(out, "Handshake Type: Client Hello"); n < 2*len(protocols) {
			t.Errorf("%d ClientHellos are recognized", n)
		}
		if strings.Contains(out, "hecksum status: Bad") || strings.Contains(out, "hecksum Status: Bad") || !strings.Contains(out, "hecksum Status: Good") {
			t.Error("a checksum is wrong")
		}
		if strings.Contains(out, "not seen") || strings.Contains(out, "out-of-order") {
			t.Error("a sequence number of TCP is wrong")
		}
		if strings.Contains(out, "Malformed") {
			t.Error("a packet is malformed")
		}
		for text := range protocols {
			n := strings.Count(out, fmt.Sprintf("% x", text))
			if want := map[bool]int{true: 4}[secrets]; n < want || n > 0 && !secrets {
				t.Errorf("with secrets: %v, and %q is there %d times", secrets, text, n)
			}
		}
	}
}

// protocol is one of the four. What is said on it fits a line of a dump.
type protocol struct {
	datagram bool
	version  uint16
}
