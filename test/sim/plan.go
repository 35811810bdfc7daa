package sim

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// plan is what a seed decides beforehand.
type plan struct {
	loss, dup, flip float64       // of a datagram
	delay, jitter   time.Duration // what comes later may arrive before
	pathMTU         int           // larger datagrams are lost; 0: none
	narrow          time.Duration // from when on
	mtu             int
	client, server  [2]uint16 // versions
	cookies         bool
	trusted         bool
	mutual          bool
	psk             bool
	cids            int // length; negative: none
	keyUpdates      bool
	words           int             // datagrams with data, each way
	moves           []time.Duration // when the client's address changes
	spoof           float64         // a copy from another address comes first
	checks          hermetic.PathValidation
	local           bool // a client that has moved knows it
}

func newPlan(rng *rand.Rand) plan {
	p := plan{
		delay: time.Duration(1+rng.IntN(80)) * time.Millisecond, trusted: rng.IntN(2) == 0, cookies: rng.IntN(2) == 0,
		mutual: rng.IntN(3) == 0, psk: rng.IntN(6) == 0, cids: rng.IntN(12) - 4, keyUpdates: rng.IntN(3) == 0, words: rng.IntN(8),
		mtu: []int{0, 256, 400, 576, 1400}[rng.IntN(5)],
	}
	if rng.IntN(4) > 0 {
		p.loss = float64(rng.IntN(51)) / 100
	}
	if rng.IntN(2) == 0 {
		p.dup = float64(rng.IntN(30)) / 100
	}
	if rng.IntN(4) == 0 {
		p.flip = float64(rng.IntN(20)) / 100
	}
	if rng.IntN(2) == 0 {
		p.jitter = time.Duration(rng.IntN(400)) * time.Millisecond
	}
	if p.mtu == 1400 && rng.IntN(2) == 0 {
		// Less than the sides believe. A server that asks for cookies does not reassemble
		// a ClientHello, so there a client that believes too much gets no answer.
		p.pathMTU, p.cookies = 1000, false
		if rng.IntN(2) == 0 {
			p.narrow = time.Duration(rng.IntN(4000)) * time.Millisecond
		}
	}
	if rng.IntN(3) == 0 {
		for at := time.Duration(0); len(p.moves) < 1+rng.IntN(4); {
			at += time.Duration(rng.IntN(8000)) * time.Millisecond
			p.moves = append(p.moves, at)
		}
	}
	if rng.IntN(4) == 0 {
		p.spoof = float64(rng.IntN(20)) / 100
	}
	all := [][2]uint16{{tls.VersionTLS12, tls.VersionTLS12}, {tls.VersionTLS13, tls.VersionTLS13}, {tls.VersionTLS12, tls.VersionTLS13}}
	p.client, p.server = all[rng.IntN(3)], all[rng.IntN(3)]
	if p.client[1] < p.server[0] || p.server[1] < p.client[0] {
		p.server = p.client
	}
	p.checks, p.local = hermetic.PathValidation(rng.IntN(3)), rng.IntN(2) == 0
	return p
}

func (p plan) String() string {
	return fmt.Sprintf("loss %.0f %%, duplicates %.0f %%, bit errors %.0f %%, delay %v+%v, MTU %d, path %d after %v, versions %x %x, cookies %v, trusted %v, mutual %v, PSK %v, CIDs %d, moves %v, spoofed %.0f %%, checks %v, moves known %v",
		100*p.loss, 100*p.dup, 100*p.flip, p.delay, p.jitter, p.mtu, p.pathMTU, p.narrow, p.client, p.server, p.cookies, p.trusted, p.mutual, p.psk, p.cids, p.moves, 100*p.spoof, p.checks, p.local)
}

// random is the engines' randomness.
type random struct{ *rand.ChaCha8 }

// configs are the two sides' configurations.
func (p plan) configs(seed uint64, now func() time.Time) (client, server *hermetic.Config) {
	source := func(side byte) random {
		return random{rand.NewChaCha8([32]byte{side, byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24), byte(seed >> 32)})}
	}
	client = &hermetic.Config{Time: now, Rand: source(1), MinVersion: p.client[0], MaxVersion: p.client[1], DTLS: hermetic.DTLSConfig{MTU: p.mtu}, NextProtos: []string{"sim"}}
	server = &hermetic.Config{Time: now, Rand: source(2), MinVersion: p.server[0], MaxVersion: p.server[1], DTLS: hermetic.DTLSConfig{MTU: p.mtu}, NextProtos: []string{"sim"}}
	client.KeyExchanges = []hermetic.KeyExchange{fixedExchange}
	server.KeyExchanges = client.KeyExchanges
	server.DTLS.TrustAddress = p.trusted
	if p.cids >= 0 {
		for _, c := range []*hermetic.Config{client, server} {
			c.DTLS.ConnectionIDs, c.DTLS.ConnectionIDLength = true, p.cids
			c.DTLS.PathValidation = p.checks
		}
	}
	if p.psk {
		key := []hermetic.PSK{{Identity: []byte("device"), Key: []byte("0123456789abcdef0123456789abcdef")}}
		client.PSKs, server.PSKs = key, key
		return client, server
	}
	s := shared()
	client.RootCAs, client.ServerName = s.roots, "localhost"
	server.Certificates = []tls.Certificate{s.leaf}
	if p.mutual {
		client.Certificates, server.ClientAuth, server.ClientCAs = server.Certificates, tls.RequireAndVerifyClientCert, client.RootCAs
	}
	return client, server
}
