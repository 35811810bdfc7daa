package handshake

import (
	"crypto/sha256"
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var errEndOfEarlyData = alert.New(alert.DecodeError, "an EndOfEarlyData has a body")

const (
	// minSkipped is how much early data is skipped at least, in bytes: what a client
	// has sent under tickets of another configuration. As BoringSSL has it, with
	// protection it is less than 16 KiB.
	minSkipped = 14 << 10
	// ageTolerance is how much the client's idea of a ticket's age may differ
	// from ours: RFC 9846, Section 8.3. What is older may be a replay that the
	// guard has forgotten.
	ageTolerance = 10 * time.Second
)

// resume13 goes on with the PSK that was chosen.
func (s *server13) resume13(share wire.KeyShare) (step, error) {
	if err := s.usePSK(s.psk); err != nil {
		return step{}, err
	}
	if !s.mayHaveEarlyData() {
		return s.sendServerHello(share)
	}
	ticket, binder, _ := s.hello.PSK.At(int(s.selected))
	q := &Unseen{ID: append(shortHash(ticket.Identity), shortHash(binder)...)}
	return ask(q, func() (step, error) {
		if q.OK {
			s.conn.EarlyData = EarlyDataAccepted
			s.earlyTraffic = slices.Clone(s.early.ClientTrafficSecret(s.transcript.sum()))
		}
		return s.sendServerHello(share)
	}), nil
}

func shortHash(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:16]
}

// mayHaveEarlyData reports whether early data can be accepted, if it is not a
// replay: RFC 9846, Section 4.3.10.
func (s *server13) mayHaveEarlyData() bool {
	old := s.psk.Session
	if !s.hello.Has.Has(wire.ExtEarlyData) || s.conn.Retried || s.selected != 0 || old == nil {
		return false
	}
	claimed := time.Duration(s.pskAge-old.AgeAdd) * time.Millisecond
	skew := old.Age(s.params.Now()) - claimed
	return 0 < old.MaxEarlyData && old.MaxEarlyData <= s.params.MaxEarlyData && old.Suite == s.conn.Suite.ID && old.ALPN == s.conn.ALPN &&
		-ageTolerance <= skew && skew <= ageTolerance
}

// installRead makes the keys for what the client sends next.
func (s *server13) installRead() error {
	if s.conn.EarlyData != EarlyDataAccepted {
		if !s.conn.Retried {
			s.skipEarlyData()
		}
		return s.out.InstallRead(Handshake, s.client.Keys)
	}
	s.keyLog("CLIENT_EARLY_TRAFFIC_SECRET", s.earlyTraffic)
	s.out.LimitEarlyData(s.psk.Session.MaxEarlyData)
	err := s.out.InstallRead(EarlyData, s.conn.trafficKeys(s.earlyTraffic))
	if err == nil && s.conn.Transport == wire.Datagram {
		err = s.out.InstallRead(Handshake, s.client.Keys) // epochs are told apart
	}
	return err
}

// onEndOfEarlyData: RFC 9846, Section 4.6.
func (s *server13) onEndOfEarlyData(msg wire.Message) (step, error) {
	if len(msg.Body) != 0 {
		return step{}, errEndOfEarlyData
	}
	s.transcript.add(msg)
	return expect(s.onFinished, wire.TypeFinished), s.out.InstallRead(Handshake, s.client.Keys)
}
