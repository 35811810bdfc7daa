package main

import (
	"encoding/pem"
	"errors"
	"strings"
	"time"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/test/bench/process"
)

// A workload measures a server once.
type workload func(t *trial, s *process.Server) (sample, error)

// The contestants of most rows: those with TLS, and with the floor of gnettls.
var (
	secureServers = []string{process.Gnettls, process.NetHTTP, process.Nginx}
	allServers    = append([]string{process.Gnettls, process.Gnet}, secureServers[1:]...)
)

const serverRounds = 9

// serverRows are whole servers under load.
func serverRows() []row {
	circl := append([]string{process.Gnettls, process.GnettlsCircl}, secureServers[1:]...)
	peers := secureServers[1:]
	versus := map[string][]string{process.Gnettls: peers, process.GnettlsCircl: peers}
	return []row{
		{name: "full handshakes, X25519, P-256", measure: perCPU, rounds: serverRounds, versus: versus, contestants: servers(handshakeLoad, circl)},
		{name: "2 KB answers, 64 connections", measure: perCPU, rounds: serverRounds, contestants: servers(answerLoad(64), allServers)},
		{name: "2 KB answers, 1,000 connections", measure: perCPU, rounds: serverRounds, contestants: servers(answerLoad(1000), allServers)},
	}
}

// latencyRows are servers that are asked at a moderate rate: each can answer several times as many
// requests.
func latencyRows() []row {
	return []row{{name: "4,000 answers of 2 KB a second", measure: p99, rounds: serverRounds, contestants: servers(latencyLoad, allServers)}}
}

// serverMemoryRows are servers with idle connections.
func serverMemoryRows() []row {
	return []row{{name: "10,000 idle connections, each", measure: rss, rounds: 1, contestants: servers(idleLoad, secureServers)}}
}

// servers are contestants, each of which is a process that lives as long as the row.
func servers(load workload, names []string) (list []contestant) {
	for _, name := range names {
		list = append(list, contestant{name, func(t *trial) round {
			profile := t.profile
			if profile != "" {
				profile += "." + strings.ReplaceAll(name, "/", "-")
			}
			s, err := process.Start(name, newPKI(t), profile)
			var missing *process.MissingError
			switch {
			case errors.As(err, &missing):
				t.Skip(missing.Error())
			case err != nil:
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Stop() })
			return func(t *trial) sample {
				measured, err := load(t, s)
				if err != nil {
					t.Fatal(err)
				}
				return measured
			}
		}})
	}
	return list
}

// newPKI is the same for all servers.
func newPKI(t *trial) process.PKI {
	ca := pkitest.CA(t)
	chain, key := pkitest.PEM(t, ca.Leaf(t, pkitest.Options{Kind: pkitest.P256}))
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate.Raw})
	return process.PKI{Chain: chain, Key: key, Roots: roots}
}

// window is how long a server is under load in one round. What it does only now and then, such as
// collecting garbage, must be in it.
func window(t *trial) time.Duration { return 50 * t.slice }

// some is n, or a few to see that it works.
func some(t *trial, n int) int {
	if t.quick {
		return min(n, 16)
	}
	return n
}

func handshakeLoad(t *trial, s *process.Server) (sample, error) {
	n, err := s.Handshakes(t.ctx, some(t, 64), window(t))
	return sample{perCPU: n}, err
}

func answerLoad(conns int) workload {
	return func(t *trial, s *process.Server) (sample, error) {
		n, err := s.Answers(t.ctx, some(t, conns), window(t))
		return sample{perCPU: n}, err
	}
}

func latencyLoad(t *trial, s *process.Server) (sample, error) {
	l, err := s.Latency(t.ctx, some(t, 64), 4000, window(t))
	return sample{p50: float64(l.P50), p99: float64(l.P99), p999: float64(l.P999)}, err
}

func idleLoad(t *trial, s *process.Server) (sample, error) {
	n, err := s.Idle(t.ctx, some(t, process.MaxConns))
	return sample{rss: n}, err
}
