package webrtctls

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// addresses is a network with one interface that has these addresses.
type addresses struct {
	transport.Net
	ips []net.IP
}

func (n *addresses) Interfaces() ([]*transport.Interface, error) {
	lo := transport.NewInterface(net.Interface{Index: 1, MTU: 1500, Name: "lo", Flags: net.FlagUp | net.FlagLoopback})
	for _, ip := range n.ips {
		lo.AddAddress(&net.IPNet{IP: ip, Mask: net.CIDRMask(8, 32)})
	}
	return []*transport.Interface{lo}, nil
}

// loopback is an address on loopback.
func loopback(last byte) net.IP { return net.IPv4(127, 0, 0, last) }

// A side is an end of a connection of pion/ice on loopback.
type side struct {
	*ice.Agent
	network *addresses
	conn    net.Conn
}

func newSide(t *testing.T, ips []net.IP, options ...ice.AgentOption) *side {
	t.Helper()
	std, err := stdnet.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	s := &side{network: &addresses{std, ips}}
	s.Agent, err = ice.NewAgentWithOptions(append(options,
		ice.WithNet(s.network),
		ice.WithIncludeLoopback(),
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4}),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
		ice.WithHostAcceptanceMinWait(0),
		ice.WithPrflxAcceptanceMinWait(0),
	)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Agent.Close() })
	return s
}

// gather returns the side's candidates.
func (s *side) gather(t *testing.T) []ice.Candidate {
	t.Helper()
	done := make(chan struct{})
	if err := s.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			close(done)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.GatherCandidates(); err != nil {
		t.Fatal(err)
	}
	<-done
	all, err := s.GetLocalCandidates()
	if err != nil || len(all) == 0 {
		t.Fatalf("%d candidates, %v", len(all), err)
	}
	return all
}

// add tells a side the candidates of the other one.
func (s *side) add(t *testing.T, all []ice.Candidate) {
	t.Helper()
	for _, c := range all {
		remote, err := ice.UnmarshalCandidate(c.Marshal())
		if err == nil {
			err = s.AddRemoteCandidate(remote)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// credentials returns what the other side must know.
func (s *side) credentials(t *testing.T) (ufrag, pwd string) {
	t.Helper()
	ufrag, pwd, err := s.GetLocalUserCredentials()
	if err != nil {
		t.Fatal(err)
	}
	return ufrag, pwd
}

// connect connects two sides that have an address each.
func connect(t *testing.T) (a, b *side) {
	t.Helper()
	a, b = newSide(t, []net.IP{loopback(1)}), newSide(t, []net.IP{loopback(1)})
	join(t, a, b)
	return a, b
}

// join connects two sides, of which a is the controlling one.
func join(t *testing.T, a, b *side) {
	t.Helper()
	a.add(t, b.gather(t))
	b.add(t, a.gather(t))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	accepted := make(chan error, 1)
	go func() {
		ufrag, pwd, err := a.GetLocalUserCredentials()
		if err == nil {
			b.conn, err = b.Accept(ctx, ufrag, pwd)
		}
		accepted <- err
	}()
	ufrag, pwd := b.credentials(t)
	var err error
	if a.conn, err = a.Dial(ctx, ufrag, pwd); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
}

// restart restarts ICE on both sides, which move to 127.0.0.2. Between the halves neither has a
// pair, and it calls apart.
func restart(t *testing.T, a, b *side, apart func()) {
	t.Helper()
	selected := make(chan struct{}, 16)
	for _, s := range []*side{a, b} {
		if err := s.Restart("", ""); err != nil {
			t.Fatal(err)
		}
	}
	apart()
	for _, s := range []*side{a, b} {
		if err := s.OnSelectedCandidatePairChange(func(_, _ ice.Candidate) { selected <- struct{}{} }); err != nil {
			t.Fatal(err)
		}
		s.network.ips = []net.IP{loopback(2)}
	}
	as, bs := a.gather(t), b.gather(t)
	for _, pair := range [][2]*side{{a, b}, {b, a}} {
		ufrag, pwd := pair[1].credentials(t)
		if err := pair[0].SetRemoteCredentials(ufrag, pwd); err != nil {
			t.Fatal(err)
		}
	}
	a.add(t, bs)
	b.add(t, as)
	for range 2 {
		select {
		case <-selected:
		case <-time.After(patience):
			t.Fatal("ICE has not connected again")
		}
	}
}
