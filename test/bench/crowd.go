package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/circlgroups"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// crowdRows are what a connection costs among many.
func crowdRows() (rows []row) {
	for _, s := range []crowd{{Version: tls.VersionTLS13}, {Version: tls.VersionTLS13, Datagrams: true}} {
		name := settings{version: s.Version, datagrams: s.Datagrams}.versionName()
		r := row{name: "100,000 servers of " + name, measure: idleRSS, rounds: 1, contestants: []contestant{{ours, s.start}}}
		if !s.Datagrams {
			s.CryptoTLS = true
			r.contestants = append(r.contestants, contestant{cryptoTLS, s.start})
		}
		rows = append(rows, r)
	}
	return rows
}

// A crowd is many servers in a process with nothing else in it.
type crowd struct {
	Version   uint16
	Datagrams bool
	CryptoTLS bool
	Listener  bool // they are the peers of one: see measureListener
	Count     int
}

// crowdMemory is resident memory, in bytes of each server.
type crowdMemory struct {
	Idle, Compact float64
	Wake          float64 // nanoseconds of the processor until all have been heard and answered
}

// crowdCommand is the first argument with which this program starts itself to measure a crowd. The
// second is the crowd, as JSON.
const crowdCommand = "memory-crowd"

// start prepares the measurement in a new process.
func (c crowd) start(t *trial) round {
	if _, err := residentMemory(); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return func(t *trial) sample {
		c.Count = 100_000
		if t.quick {
			c.Count = 200
		}
		spec, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		child := exec.CommandContext(t.Context(), program, crowdCommand, string(spec))
		child.Stderr = os.Stderr
		out, err := child.Output()
		if err != nil {
			t.Fatal(err)
		}
		var m crowdMemory
		if err := json.Unmarshal(out, &m); err != nil {
			t.Fatal(err)
		}
		switch {
		case c.CryptoTLS:
			return sample{idleRSS: m.Idle}
		case c.Listener:
			return sample{compactRSS: m.Compact, wakeTime: m.Wake}
		}
		return sample{idleRSS: m.Idle, compactRSS: m.Compact}
	}
}

// crowdChild must be called first by this program and by its tests. If they are started to measure
// a crowd, it does that, and does not return.
func crowdChild() {
	if len(os.Args) != 3 || os.Args[1] != crowdCommand {
		return
	}
	var c crowd
	err := json.Unmarshal([]byte(os.Args[2]), &c)
	if err == nil {
		var m crowdMemory
		if m, err = c.measure(); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(m)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// measure makes the servers, each with its own handshake, and then makes them small.
func (c crowd) measure() (m crowdMemory, err error) {
	t := &trial{ctx: context.Background()}
	s := settings{version: c.Version, datagrams: c.Datagrams, group: tls.X25519}
	if c.Listener {
		err = t.try(func() { m = c.measureListener(t) })
		return m, err
	}
	failed := t.try(func() {
		ca := pkitest.CA(t)
		leaf := ca.Leaf(t, pkitest.Options{})
		connect := c.ours(t, s, ca, leaf)
		if c.CryptoTLS {
			client, server := s.theirs(t, ca, leaf)
			connect = func() any { return theirIdle(t, client, server, true) }
		}
		for range 100 {
			connect()
		}
		servers := make([]any, c.Count)
		for i := range servers {
			servers[i] = t // the list is resident from now on
		}
		before := mustResident(t)
		for i := range servers {
			servers[i] = connect()
		}
		m.Idle = float64(mustResident(t)-before) / float64(c.Count)
		for _, e := range servers {
			if e, ok := e.(*hermetic.Engine); ok {
				if err := e.Compact(); err != nil {
					t.Fatal(err)
				}
			}
		}
		m.Compact = float64(mustResident(t)-before) / float64(c.Count)
		runtime.KeepAlive(servers)
	})
	return m, failed
}

// ours returns a function that makes an idle server. The groups are circl's because that takes less
// time: nothing of them stays.
func (c crowd) ours(t *trial, s settings, ca *pkitest.Authority, leaf tls.Certificate) func() any {
	client, server := s.ours(t, ca, leaf)
	client.KeyExchanges, server.KeyExchanges = circlgroups.All(), circlgroups.All()
	return func() any {
		e := s.connect(t, client, server)
		e.transfer(t, []byte("hello"))
		if s.datagrams {
			e.settle(t)
		}
		return e.server
	}
}

func mustResident(t *trial) int {
	debug.FreeOSMemory()
	n, err := residentMemory()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// residentMemory is this process's, in bytes.
func residentMemory() (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("resident memory is known on Linux only: %w", err)
	}
	_, rest, ok := strings.Cut(string(status), "VmRSS:")
	var kb int
	if _, err := fmt.Sscanf(rest, "%d kB", &kb); err != nil || !ok {
		return 0, fmt.Errorf("/proc/self/status has no VmRSS")
	}
	return kb << 10, nil
}
