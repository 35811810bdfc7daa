package main

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds operations that must not hang.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hermetic": func() {
		lastWords = patience
		main()
	}})
}

// TestScripts runs the command line as a person would: testdata/*.txt.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Values[serverErrors{}] = new(bufio.Reader)
			e.Values[backgroundKey{}] = new(background)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve":     serveInScript,
			"start":     startInScript,
			"openssl":   opensslInScript,
			"middlebox": middleboxInScript,
			"end":       endInScript,
			"until":     untilInScript,
			"said":      saidInScript,
			"exits":     exitsInScript,
		},
		Condition: func(cond string) (bool, error) {
			name, _ := strings.CutPrefix(cond, "exec:")
			_, err := exec.LookPath(name)
			if err != nil && os.Getenv("CI") == "true" {
				return false, err
			}
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
	said, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Value(serverErrors{}).(*bufio.Reader).Reset(said)
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

// exitsInScript runs a program that must end with an exit code: exits CODE PROGRAM ARGS...
func exitsInScript(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// serverErrors is the key of the last server's standard error.
type serverErrors struct{}

// saidInScript waits for the server's next line on standard error, and matches it:
// said REGEXP.
func saidInScript(ts *testscript.TestScript, neg bool, args []string) {
	line, err := ts.Value(serverErrors{}).(*bufio.Reader).ReadString('\n')
	ts.Check(err)
	if !regexp.MustCompile(args[0]).MatchString(strings.TrimSuffix(line, "\n")) {
		ts.Fatalf("the server said %q, not %s", line, args[0])
	}
}

// untilInScript runs a program: until FILE WORDS PROGRAM ARGS... Its input is a line
// with "hello", its output goes to the file, and when it has said all of the words,
// which are separated by |, its input ends.
func untilInScript(ts *testscript.TestScript, neg bool, args []string) {
	file, words := ts.MkAbs(args[0]), strings.Split(args[1], "|")
	cmd := exec.Command(args[2], args[3:]...)
	cmd.Dir = ts.Getenv("WORK")
	in, err := cmd.StdinPipe()
	ts.Check(err)
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	cmd.Stderr = cmd.Stdout
	ts.Check(cmd.Start())
	in.Write([]byte("hello\n"))
	giveUp := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer giveUp.Stop()
	var said []byte
	buf := make([]byte, 4096)
	for {
		n, err := out.Read(buf)
		said = append(said, buf[:n]...)
		missing := slices.ContainsFunc(words, func(w string) bool { return !bytes.Contains(said, []byte(w)) })
		if !missing {
			in.Close()
		}
		if err != nil {
			ts.Check(os.WriteFile(file, said, 0o600))
			cmd.Wait()
			if missing {
				ts.Fatalf("%s has not said %q:\n%s", args[2], words, said)
			}
			return
		}
	}
}
