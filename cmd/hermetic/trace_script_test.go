package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
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

// opensslInScript starts openssl s_server, and sets $PORT: openssl ARGS...
func opensslInScript(ts *testscript.TestScript, neg bool, args []string) {
	cmd := exec.Command("openssl", append([]string{"s_server", "-accept", "127.0.0.1:0"}, args...)...)
	cmd.Dir = ts.Getenv("WORK")
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	in, err := cmd.StdinPipe() // it ends with its input
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		in.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if addr, ok := strings.CutPrefix(lines.Text(), "ACCEPT "); ok {
			_, port, err := net.SplitHostPort(addr)
			ts.Check(err)
			ts.Setenv("PORT", port)
			go io.Copy(io.Discard, out)
			return
		}
	}
	ts.Fatalf("openssl does not listen")
}

// middleboxInScript is a middlebox before a server: it resets connections whose first flight does
// not fit into one TCP segment. It sets $PORT: middlebox TARGET
func middleboxInScript(ts *testscript.TestScript, neg bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	ts.Check(err)
	ts.Setenv("PORT", port)
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go filter(client.(*net.TCPConn), args[0])
		}
	}()
}

// filter passes a connection on, unless its ClientHello is large.
func filter(client *net.TCPConn, target string) {
	const segment = 1460
	defer client.Close()
	head := make([]byte, 5)
	if _, err := io.ReadFull(client, head); err != nil {
		return
	}
	hello := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(client, hello); err != nil {
		return
	}
	if len(head)+len(hello) > segment {
		client.SetLinger(0)
		return
	}
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	server.Write(append(head, hello...))
	var both sync.WaitGroup
	both.Go(func() {
		io.Copy(server, client)
		server.(*net.TCPConn).CloseWrite()
	})
	both.Go(func() {
		io.Copy(client, server)
		client.CloseWrite()
	})
	both.Wait()
}
