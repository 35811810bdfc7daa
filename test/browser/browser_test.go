// Package browser runs the example of WebRTC with browsers as its peers.
package browser

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

// A browser loads a page, and takes a picture of it when all of it has loaded.
type browser struct {
	program string
	command func(t *testing.T, program, screenshot, url string) *exec.Cmd
	tells   bool // its role and its version of DTLS, in the stats of the transport
}

var browsers = []browser{
	{"chromium", chromium, true},
	{"firefox-esr", firefox, false},
}

func chromium(t *testing.T, program, screenshot, url string) *exec.Cmd {
	return exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns", "--hide-scrollbars",
		"--user-data-dir="+filepath.Join(t.TempDir(), "profile"), "--window-size=1000,1000", "--screenshot="+screenshot, url)
}

func firefox(t *testing.T, program, screenshot, url string) *exec.Cmd {
	profile := t.TempDir()
	const prefs = `user_pref("media.peerconnection.ice.loopback", true);
user_pref("media.peerconnection.ice.obfuscate_host_addresses", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("app.update.enabled", false);
`
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(prefs), 0o600); err != nil {
		t.Fatal(err)
	}
	return exec.Command(program, "--headless", "--no-remote", "--profile", profile, "--window-size=1000,1000", "--screenshot", screenshot, url)
}

// A report is what testdata/drive.js has seen on the page.
type report struct {
	Error    string           `json:"error"`
	Received []string         `json:"received"`
	Sent     []string         `json:"sent"`
	State    []string         `json:"state"`
	Frames   []int            `json:"frames"`
	Stats    []map[string]any `json:"stats"`
}

// An example is the running program, and a server before it that adds the test to its page.
type example struct {
	url     string
	reports chan report
	ends    chan string // what the program says of a session that has ended
}

// build builds the example once.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "webrtc")
	cmd := exec.Command("go", "build", "-race", "-o", program, ".")
	cmd.Dir = "../../examples/webrtc"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// start runs the program until the test ends.
func start(t *testing.T, program string, args ...string) *example {
	t.Helper()
	cmd := exec.Command(program, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if s := stderr.String(); s != "" {
			t.Errorf("the program says %s", s)
		}
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal(lines.Err())
	}
	target, err := url.Parse(strings.TrimPrefix(lines.Text(), "open "))
	if err != nil {
		t.Fatal(err)
	}
	e := before(t, target)
	go func() {
		for lines.Scan() {
			e.ends <- lines.Text()
		}
	}()
	return e
}

// before is a server before the program. It adds the test to the page, and a picture that
// arrives with the report: until then the page has not loaded.
func before(t *testing.T, target *url.URL) *example {
	e := &example{reports: make(chan report, 1), ends: make(chan string, 16)}
	done := make(chan struct{})
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			if tampers(r.In, "offer") {
				r.Out.Body, r.Out.ContentLength = change(t, r.In.Body, otherFingerprint)
			}
		},
		ModifyResponse: func(r *http.Response) error {
			switch {
			case r.Request.URL.Path == "/":
				r.Body, r.ContentLength = change(t, r.Body, func(page string) string {
					return page + `<script src="/test/drive.js"></script><img src="/test/done.png" style="display: none">`
				})
			case tampers(r.Request, "answer"):
				r.Body, r.ContentLength = change(t, r.Body, otherFingerprint)
			}
			r.Header.Set("Content-Length", fmt.Sprint(r.ContentLength))
			return nil
		},
	}
	mux := http.NewServeMux()
	mux.Handle("/", proxy)
	mux.HandleFunc("/test/drive.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/drive.js") })
	mux.HandleFunc("/test/done.png", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-done:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /test/report", func(w http.ResponseWriter, r *http.Request) {
		var got report
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			got.Error = err.Error()
		}
		e.reports <- got
		close(done)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.CloseClientConnections)
	e.url = server.URL
	return e
}

// tampers reports whether the signaling of a page is tampered with, in this direction.
func tampers(r *http.Request, direction string) bool {
	page, err := url.Parse(r.Referer())
	return err == nil && r.URL.Path == "/offer" && page.Query().Get("tamper") == direction
}

// otherFingerprint changes the fingerprints of a description, as an attacker would to become
// the peer.
func otherFingerprint(sdp string) string {
	return regexp.MustCompile(`a=fingerprint:sha-256 ..`).ReplaceAllStringFunc(sdp, func(s string) string {
		digit := "0"
		if strings.HasSuffix(s, "0") {
			digit = "1"
		}
		return s[:len(s)-1] + digit
	})
}

// change changes the body of a request or an answer.
func change(t *testing.T, body io.ReadCloser, f func(string) string) (io.ReadCloser, int64) {
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Error(err)
	}
	changed := f(string(text))
	if changed == string(text) {
		t.Error("nothing is changed")
	}
	return io.NopCloser(strings.NewReader(changed)), int64(len(changed))
}

// visit runs the browser until it has reported. When it has taken its picture, it ends.
func (b *browser) visit(t *testing.T, e *example, screenshot, query string) (got report, ended <-chan error) {
	t.Helper()
	cmd := b.command(t, b.program, screenshot, e.url+"/?"+query)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a browser is many processes
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end, over := make(chan error, 1), make(chan struct{})
	go func() {
		end <- cmd.Wait()
		close(over)
	}()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-over
	})
	select {
	case got = <-e.reports:
		return got, end
	case err := <-end:
		t.Fatalf("%s ends without a report: %v\n%s", b.program, err, out.String())
	case <-time.After(patience):
		t.Fatalf("%s has not reported", b.program)
	}
	panic("not reached")
}

// TestBrowsers: messages on data channels and video come back, in both roles and versions, over a
// path that loses a twentieth of the datagrams each way, and across an ICE restart after which the
// program has another address.
func TestBrowsers(t *testing.T) {
	program := build(t)
	for i, b := range browsers {
		if _, err := exec.LookPath(b.program); err != nil {
			t.Run(b.program, func(t *testing.T) { missing(t, err) })
			continue
		}
		for j, setup := range []string{"active", "passive"} {
			for k, version := range []string{"1.2", "1.3"} {
				t.Run(fmt.Sprint(b.program, "/", setup, "/", version), func(t *testing.T) {
					seed := fmt.Sprint(1 + 4*i + 2*j + k)
					e := start(t, program, "--listen", "127.0.0.1:0", "--ip", "127.0.0.1,127.0.0.2", "--loss", "0.05", "--seed", seed)
					screenshot := filepath.Join(pictures(t), fmt.Sprintf("%s-%s-%s.png", b.program, setup, version))
					got, ended := b.visit(t, e, screenshot, url.Values{"setup": {setup}, "version": {version}}.Encode())
					got.check(t, &b, setup, version)
					select {
					case <-ended:
					case <-time.After(patience):
						t.Fatal("it takes no picture")
					}
					checkPicture(t, screenshot)
				})
			}
		}
	}
}

// TestTamperedSignaling: a fingerprint that is changed on the way is noticed. If it was in the
// offer, we refuse the browser; if it was in the answer, the browser refuses us.
func TestTamperedSignaling(t *testing.T) {
	program := build(t)
	for _, b := range browsers {
		if _, err := exec.LookPath(b.program); err != nil {
			t.Run(b.program, func(t *testing.T) { missing(t, err) })
			continue
		}
		for tamper, want := range map[string]string{
			"offer":  "the peer's certificate does not have the fingerprint that was announced",
			"answer": "peer sent alert ",
		} {
			t.Run(b.program+"/"+tamper, func(t *testing.T) {
				e := start(t, program, "--listen", "127.0.0.1:0", "--ip", "127.0.0.1")
				query := url.Values{"setup": {"passive"}, "version": {"1.3"}, "tamper": {tamper}}.Encode()
				got, _ := b.visit(t, e, filepath.Join(t.TempDir(), "page.png"), query)
				if got.Error != "" || len(got.Received) > 0 {
					t.Errorf("%s; it has received %q", got.Error, got.Received)
				}
				if end := <-e.ends; !strings.Contains(end, want) {
					t.Errorf("the program says %q, want %q", end, want)
				}
			})
		}
	}
}

// missing fails where all peers must be there, and otherwise says what is missing.
func missing(t *testing.T, err error) {
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// pictures is where screenshots go: HERMETIC_SCREENSHOTS, to look at them.
func pictures(t *testing.T) string {
	if folder := os.Getenv("HERMETIC_SCREENSHOTS"); folder != "" {
		return folder
	}
	return t.TempDir()
}

func (r *report) check(t *testing.T, b *browser, setup, version string) {
	t.Helper()
	if r.Error != "" || len(r.Received) == 0 {
		t.Fatalf("%s\nreceived %q\nstates %q\nsent %q", r.Error, r.Received, r.State, r.Sent)
	}
	role, other := "client", "server"
	if setup == "passive" {
		role, other = "server", "client"
	}
	if want := "DTLS " + version + ", and the program is the " + role + ": "; !strings.HasPrefix(r.Received[0], want) || !strings.Contains(r.Received[0], ", SRTP_A") {
		t.Errorf("the program says %q, want %s…", r.Received[0], want)
	}
	if len(r.Frames) != 2 || r.Frames[0] < 10 || r.Frames[1] < r.Frames[0]+10 {
		t.Errorf("the frames before and after the restart: %v", r.Frames)
	}
	if len(r.Stats) != 2 {
		t.Fatalf("the stats are %v", r.Stats)
	}
	for _, s := range r.Stats {
		for name, want := range map[string]any{
			"dtlsState":  "connected",
			"dtlsRole":   other,
			"tlsVersion": map[string]string{"1.2": "FEFD", "1.3": "FEFC"}[version],
		} {
			if got, told := s[name]; told && got != want || !told && b.tells {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
	}
}

// checkPicture: the page is not empty.
func checkPicture(t *testing.T, file string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	colors := make(map[any]bool)
	for x := range picture.Bounds().Dx() {
		for y := range picture.Bounds().Dy() {
			colors[picture.At(x, y)] = true
		}
	}
	if len(colors) < 20 {
		t.Errorf("the picture of the page has %d colors", len(colors))
	}
}
