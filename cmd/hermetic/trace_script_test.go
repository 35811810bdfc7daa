package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// background is a program that will end by itself.
type background struct {
	cmd *exec.Cmd
	out *bufio.Reader
}

// backgroundKey is the key of the last one.
type backgroundKey struct{}

// startInScript starts a program that prints "listening on ADDR" and ends later, and sets $ADDR
// and $PORT: start ARGS...
func startInScript(ts *testscript.TestScript, neg bool, args []string) {
	path, err := exec.LookPath("hermetic")
	ts.Check(err)
	cmd := exec.Command(path, args...)
	cmd.Dir = ts.Getenv("WORK")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() { cmd.Process.Kill() })
	b := ts.Value(backgroundKey{}).(*background)
	b.cmd, b.out = cmd, bufio.NewReader(out)
	line, err := b.out.ReadString('\n')
	ts.Check(err)
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !ok {
		ts.Fatalf("it says %q", line)
	}
	_, port, err := net.SplitHostPort(addr)
	ts.Check(err)
	ts.Setenv("ADDR", addr)
	ts.Setenv("PORT", port)
}

// endInScript waits for its end, and keeps the rest of its output: end FILE
func endInScript(ts *testscript.TestScript, neg bool, args []string) {
	b := ts.Value(backgroundKey{}).(*background)
	giveUp := time.AfterFunc(patience, func() { b.cmd.Process.Kill() })
	defer giveUp.Stop()
	said, err := io.ReadAll(b.out)
	ts.Check(err)
	ts.Check(b.cmd.Wait())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), said, 0o600))
}
