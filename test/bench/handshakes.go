package main

import (
	"crypto/tls"
	"strings"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/circlgroups"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// handshakeSettings are the handshakes of the table. The certificates of authorities have P-256
// keys. A known chain was verified before: hermetic does not verify its signatures again, crypto/tls
// does.
func handshakeSettings() (list []settings) {
	for _, v := range []settings{
		{version: tls.VersionTLS13}, {version: tls.VersionTLS12},
		{version: tls.VersionTLS13, datagrams: true}, {version: tls.VersionTLS12, datagrams: true},
	} {
		add := func(change func(*settings)) {
			s := v
			s.group, s.kind = tls.X25519, pkitest.P256
			change(&s)
			list = append(list, s)
		}
		add(func(*settings) {})
		if v.version == tls.VersionTLS13 {
			add(func(s *settings) { s.group = tls.X25519MLKEM768 })
		}
		add(func(s *settings) { s.fresh = new(supply) })
		add(func(s *settings) { s.kind = pkitest.RSA2048 })
		add(func(s *settings) { s.kind = pkitest.Ed25519 })
		add(func(s *settings) { s.mutual = true })
		add(func(s *settings) { s.resumed = true })
		if v.version == tls.VersionTLS13 {
			add(func(s *settings) { s.group, s.resumed = tls.X25519MLKEM768, true })
		}
	}
	return list
}

func handshakeRows() (rows []row) {
	for _, s := range handshakeSettings() {
		circl := s
		circl.circl = true
		r := row{name: s.handshakeName(), measure: opTime, contestants: []contestant{
			{ours, s.handshakes},
			{oursCircl, circl.handshakes},
		}, versus: map[string][]string{ours: nil}}
		add := func(c contestant, versus ...string) {
			r.contestants = append(r.contestants, c)
			for _, name := range versus {
				r.versus[name] = append(r.versus[name], c.name)
			}
		}
		if !s.datagrams {
			add(contestant{cryptoTLS, s.theirHandshakes}, ours, oursCircl)
		}
		if !s.resumed || s.version == tls.VersionTLS13 {
			add(contestant{floor, s.floor}, ours)
			add(contestant{floorCircl, circl.floor}, oursCircl)
		}
		rows = append(rows, r)
	}
	return rows
}

func (s settings) handshakeName() string {
	name := []string{s.versionName(), s.group.String()}
	switch {
	case s.resumed:
		return strings.Join(append(name, "resumed"), ", ")
	case s.kind == pkitest.P256:
		name = append(name, "P-256")
	case s.kind == pkitest.RSA2048:
		name = append(name, "RSA-2048")
	default:
		name = append(name, s.kind)
	}
	if s.mutual {
		name = append(name, "mutual")
	}
	if s.fresh != nil {
		name = append(name, "fresh chain")
	}
	return strings.Join(name, ", ")
}

// A supply gives each handshake a different certificate. It has more of them than any cache, so that
// no chain is remembered: the engine remembers 256 chains, and crypto/tls remembers a certificate
// while a connection uses it. The contestants share one supply, because each garbage collection
// visits all of it.
type supply struct {
	ca     *pkitest.Authority
	leaves []tls.Certificate
}

// fill makes the certificates, which last for one row.
func (s *supply) fill(t *trial, kind string) *pkitest.Authority {
	n := 320
	if t.quick {
		n = 16
	}
	if s.leaves == nil {
		s.ca = pkitest.CA(t)
		for range n {
			s.leaves = append(s.leaves, s.ca.Leaf(t, pkitest.Options{Kind: kind, NewKey: true}))
		}
		t.Cleanup(func() { s.leaves = nil })
	}
	return s.ca
}

// order returns a function that returns one certificate after the other. Each contestant has its own
// order: with a common one, each would see some certificates again too soon.
func (s *supply) order() func() (*tls.Certificate, error) {
	next := 0
	return func() (*tls.Certificate, error) {
		next++
		return &s.leaves[next%len(s.leaves)], nil
	}
}

func (s settings) authority(t *trial) *pkitest.Authority {
	if s.fresh != nil {
		return s.fresh.fill(t, s.kind)
	}
	return pkitest.CA(t)
}

// handshakes are hermetic's.
func (s settings) handshakes(t *trial) round {
	ca := s.authority(t)
	client, server := s.ours(t, ca, ca.Leaf(t, pkitest.Options{Kind: s.kind}))
	if s.fresh != nil {
		next := s.fresh.order()
		server.GetCertificate = func(*hermetic.ClientHello) (*tls.Certificate, error) { return next() }
	}
	if s.resumed {
		client.SessionCache = hermetic.NewSessionCache(1)
	}
	if s.circl {
		client.KeyExchanges, server.KeyExchanges = circlgroups.All(), circlgroups.All()
	}
	var e *engines
	r := perOp(t, func() {
		e = s.connect(t, client, server)
		if s.resumed && !s.datagrams {
			e.greet(t)
		}
	})
	state := e.client.State()
	if state.DidResume != s.resumed || state.CurveID != s.group && (s.version == tls.VersionTLS13 || !s.resumed) {
		t.Fatalf("resumed: %v, group: %v", state.DidResume, state.CurveID)
	}
	return r.sending(e.sent)
}

// theirHandshakes are those of crypto/tls.
func (s settings) theirHandshakes(t *trial) round {
	ca := s.authority(t)
	client, server := s.theirs(t, ca, ca.Leaf(t, pkitest.Options{Kind: s.kind}))
	if s.fresh != nil {
		next := s.fresh.order()
		server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return next() }
	}
	if s.resumed {
		server.SessionTicketsDisabled = false
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	var c *conns
	r := perOp(t, func() {
		c = newConns(client, server)
		c.handshake(t)
		if s.resumed {
			c.greet(t)
		}
	})
	if state := c.client.ConnectionState(); state.DidResume != s.resumed {
		t.Fatalf("resumed: %v", state.DidResume)
	}
	return r.sending(int(c.sent.Load()))
}

// sending adds how many bytes the operation sends.
func (r round) sending(bytes int) round {
	return func(t *trial) sample {
		s := r(t)
		s[onWire] = float64(bytes)
		return s
	}
}
