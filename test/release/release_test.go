package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const repo = "../.."

// TestVersions compares what the modules require of each other, go.work and CHANGELOG.md
// with hermetic.Version.
func TestVersions(t *testing.T) {
	if err := check(repo); err != nil {
		t.Error(err)
	}
}

// TestOrder wants each module after those that it requires.
func TestOrder(t *testing.T) {
	all, err := modules(repo)
	if err != nil {
		t.Fatal(err)
	}
	done := make(map[string]bool)
	for _, m := range all {
		for _, r := range m.requires {
			if !done[r.Path] {
				t.Errorf("%s comes before %s, which it requires", m.tag(), r.Path)
			}
		}
		done[m.modulePath()] = true
	}
	if len(all) < 10 {
		t.Errorf("only %d modules found", len(all))
	}
}

// TestPublished uses the modules as strangers do, in fresh modules. It needs no
// host but the module proxy, and that only for modules that are not in the module cache.
func TestPublished(t *testing.T) {
	if testing.Short() {
		t.Skip("builds every module")
	}
	p := publish(t)
	all, err := modules(repo)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		t.Run("go get "+m.modulePath(), func(t *testing.T) {
			t.Parallel()
			folder := p.fresh(t)
			if m.hasPackages() {
				p.run(t, folder, "go", "get", m.modulePath()+"/...@latest")
				p.run(t, folder, "go", "build", m.modulePath()+"/...")
			} else {
				p.run(t, folder, "go", "get", m.modulePath())
			}
			if list := p.run(t, folder, "go", "list", "-m", m.modulePath()); list != m.modulePath()+" "+version+"\n" {
				t.Errorf("it got %s", list)
			}
		})
	}
	t.Run("go install, and README.md", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		p.run(t, folder, "env", "GOBIN="+folder, "go", "install", root+"/cmd/hermetic@"+version)
		if says := p.run(t, folder, "./hermetic", "--version"); !strings.Contains(says, version[1:]) {
			t.Errorf("hermetic --version says %q", says)
		}
		p.run(t, folder, "./hermetic", "cert")
		p.readme(t, folder)
	})
}

// readme builds the README's programs, in new modules, and runs the server and the client
// in a folder with their certificates.
func (p *published) readme(t *testing.T, folder string) {
	all := programs(t, "README.md")
	if len(all) != 2 {
		t.Fatalf("README.md has %d complete programs, want a server and a client", len(all))
	}
	free, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "localhost:" + strconv.Itoa(free.Addr().(*net.TCPAddr).Port)
	free.Close()
	var built []string
	for _, program := range all {
		at := p.fresh(t)
		program = strings.ReplaceAll(program, "localhost:4433", address)
		if err := os.WriteFile(filepath.Join(at, "main.go"), []byte(program), 0o644); err != nil {
			t.Fatal(err)
		}
		p.run(t, at, "go", "mod", "tidy")
		p.run(t, at, "go", "build", "-o", "program", ".")
		built = append(built, filepath.Join(at, "program"))
	}
	server := exec.Command(built[0])
	server.Dir = folder
	says, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Wait()
	defer server.Process.Kill()
	if _, err := says.Read(make([]byte, 100)); err != nil { // it says that it listens
		t.Fatal(err)
	}
	if got := p.run(t, folder, built[1]); !strings.Contains(got, "hello") {
		t.Errorf("the client prints %q", got)
	}
}

// hasPackages reports whether others can import a package of the module.
func (m *module) hasPackages() bool {
	return m.folder == "." || !strings.HasPrefix(m.folder, "test/") && !strings.HasPrefix(m.folder, "examples") && !strings.HasPrefix(m.folder, "cmd/")
}

// programs are the complete Go programs of a Markdown file.
func programs(t *testing.T, name string) []string {
	text, err := os.ReadFile(filepath.Join(repo, name))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, block := range regexp.MustCompile("(?ms)^```go\n(.*?)^```").FindAllSubmatch(text, -1) {
		if bytes.Contains(block[1], []byte("\nfunc main()")) {
			all = append(all, string(block[1]))
		}
	}
	return all
}

// published is a module proxy with our modules.
type published struct{ env []string }

func publish(t *testing.T) *published {
	proxy, cache := t.TempDir(), t.TempDir()
	if err := writeProxy(repo, proxy); err != nil {
		t.Fatal(err)
	}
	env, err := environment(proxy, cache)
	if err != nil {
		t.Fatal(err)
	}
	// The modules' own go.sum files have the sums of what they depend on.
	return &published{append(env, "GOSUMDB=off", "GOTOOLCHAIN=local")}
}

// fresh is the folder of a new module.
func (p *published) fresh(t *testing.T) string {
	folder := t.TempDir()
	p.run(t, folder, "go", "mod", "init", "example.com/fresh")
	return folder
}

// run runs a command. Where a module can be had from nowhere it skips the test, but never
// where CI says that all of them must run.
func (p *published) run(t *testing.T, folder, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = folder, p.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		return string(out)
	}
	if offline.Match(stderr.Bytes()) && os.Getenv("CI") != "true" {
		t.Skipf("the module proxy cannot be reached: %s", stderr.Bytes())
	}
	t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.Bytes())
	return ""
}

var offline = regexp.MustCompile(`dial tcp|no such host|module lookup disabled by GOPROXY=off`)
