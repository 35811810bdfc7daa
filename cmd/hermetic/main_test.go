package main

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hermetic": main})
}

// TestScripts runs the command line as a person would: testdata/*.txt.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serveInScript,
		},
		Condition: func(cond string) (bool, error) {
			name, _ := strings.CutPrefix(cond, "exec:")
			_, err := exec.LookPath(name)
			return err == nil, nil
		},
	})
}

// serveInScript starts a program that prints "listening on ADDR", and sets
// $ADDR and $PORT.
func serveInScript(ts *testscript.TestScript, neg bool, args []string) {
	cmd := exec.Command(os.Args[0], args...)
	path, err := exec.LookPath("hermetic")
	ts.Check(err)
	cmd.Path, cmd.Args[0] = path, path
	cmd.Dir = ts.Getenv("WORK")
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		if addr, ok := strings.CutPrefix(scanner.Text(), "listening on "); ok {
			_, port, err := net.SplitHostPort(addr)
			ts.Check(err)
			ts.Setenv("ADDR", addr)
			ts.Setenv("PORT", port)
			return
		}
	}
	ts.Fatalf("the server does not listen")
}
