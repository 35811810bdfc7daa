//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

const patience = time.Minute

// start runs the program, and returns its process and what it prints.
func startProgram(t *testing.T) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "dtls-restart")
	if out, err := exec.Command("go", "build", "-o", file, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(file, "127.0.0.1:0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, bufio.NewScanner(out)
}

// ask sends words until they come back, as a device does.
func ask(c *netconn.Conn, words string) error {
	buf := make([]byte, 100)
	for until := time.Now().Add(patience); time.Now().Before(until); {
		if _, err := c.Write([]byte(words)); err != nil {
			return err
		}
		c.SetReadDeadline(time.Now().Add(time.Second))
		for {
			n, err := c.Read(buf)
			if err == nil && string(buf[:n]) == words {
				return nil
			}
			if err == nil {
				continue // an answer that was sent again
			}
			if !os.IsTimeout(err) {
				return err
			}
			break
		}
	}
	return fmt.Errorf("%q does not come back", words)
}

// TestRestart restarts the server twice under a thousand devices that do not stop talking.
func TestRestart(t *testing.T) {
	const count = 1000
	cmd, lines := startProgram(t)
	if !lines.Scan() {
		t.Fatal("the server does not start")
	}
	address, _, _ := strings.Cut(lines.Text(), ",")
	cfg := &hermetic.Config{InsecureSkipVerify: true, DTLS: hermetic.DTLSConfig{ConnectionIDs: true}}
	conns := make([]*netconn.Conn, count)
	each := func(do func(i int) error) {
		t.Helper()
		var wg sync.WaitGroup
		var next atomic.Int64
		for range 100 {
			wg.Go(func() {
				for i := int(next.Add(1) - 1); i < count; i = int(next.Add(1) - 1) {
					if err := do(i); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			t.FailNow()
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	each(func(i int) (err error) {
		if conns[i], err = netconn.Dial(ctx, "udp", address, cfg); err != nil {
			return err
		}
		return ask(conns[i], fmt.Sprint("hello ", i))
	})
	for restart := 1; restart <= 2; restart++ {
		var stop atomic.Bool
		talking := make(chan error, count)
		for i, c := range conns {
			go func() {
				for n := 0; ; n++ {
					err := ask(c, fmt.Sprint(i, " ", restart, " ", n))
					if err != nil || stop.Load() {
						talking <- err
						return
					}
				}
			}()
		}
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if !lines.Scan() {
			t.Fatal("the server does not restart")
		}
		if want := fmt.Sprintf("%s, %d connections", address, count); lines.Text() != want {
			t.Errorf("restart %d: %q, not %q", restart, lines.Text(), want)
		}
		stop.Store(true)
		for range count {
			if err := <-talking; err != nil {
				t.Fatalf("restart %d: %v", restart, err)
			}
		}
		each(func(i int) error { return ask(conns[i], fmt.Sprint("still here ", i)) })
	}
	c, err := netconn.Dial(ctx, "udp", address, cfg) // new ones are welcome, too
	if err != nil {
		t.Fatal(err)
	}
	conns = append(conns, c)
	for _, c := range conns {
		c.Close()
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
}
