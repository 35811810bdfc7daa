package handshake

import (
	"crypto/sha256"
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var (
	errEarlyVersion   = alert.New(alert.ProtocolVersion, "the server chose TLS 1.2 although early data was sent")
	errEarlyALPN      = alert.New(alert.IllegalParameter, "the server accepted early data, and chose another ALPN protocol")
	errEarlyPSK       = alert.New(alert.IllegalParameter, "the server accepted early data without selecting the PSK that it uses")
	errEndOfEarlyData = alert.New(alert.DecodeError, "an EndOfEarlyData has a body")
)

const (
	// minSkipped is the least number of bytes of early data that are skipped: a client
	// may use a ticket of another configuration. The value is BoringSSL's; with
	// protection it is less than 16 KiB.
	minSkipped = 14 << 10
	// ageTolerance is how much the client's age of a ticket may differ from ours: RFC
	// 9846, Section 8.3. Older early data may be a replay that the guard has forgotten.
	ageTolerance = 10 * time.Second
)

// offerEarlyData installs the keys for 0-RTT data, after the ClientHello.
func (c *clientStart) offerEarlyData() {
	if c.early == nil {
		return
	}
	old := suite.ByID(c.session.Suite)
	c.conn.EarlyData = EarlyDataOffered
	c.conn.ALPN = c.session.ALPN // until the server chooses
	sum := c.transcript.partial(old.Hash, c.transcript.messages)
	secret := c.early.ClientTrafficSecret(sum)
	c.keyLog("CLIENT_EARLY_TRAFFIC_SECRET", secret)
	c.out.SendCompatibilityCCS()
	c.out.InstallWrite(EarlyData, old.TrafficKeys(c.conn.prefix(), secret))
	c.out.LimitEarlyData(c.session.MaxEarlyData)
}

// withdrawEarlyData gives up early data after a HelloRetryRequest or HelloVerifyRequest:
// it is rejected, and the second ClientHello is unencrypted. It reports whether there was
// any.
func (c *clientStart) withdrawEarlyData() bool {
	if c.early == nil {
		return false
	}
	c.early = nil
	c.conn.EarlyData, c.conn.ALPN = EarlyDataRejected, ""
	c.hello.Has = c.hello.Has.Minus(wire.Extensions(wire.ExtEarlyData))
	c.out.InstallWrite(Initial, suite.Keys{})
	return true
}

func (c *client13) offersEarlyData() bool { return c.conn.EarlyData == EarlyDataOffered }

// acceptEarlyData takes the server's decision about 0-RTT data: RFC 9846, Section 4.3.10.
func (c *client13) acceptEarlyData(accepted bool) error {
	switch {
	case !c.offersEarlyData():
		return nil
	case !accepted:
		c.conn.EarlyData = EarlyDataRejected
		c.out.InstallWrite(Handshake, c.client.Keys)
		return nil
	case c.psk == nil:
		return errUnsolicited
	case !c.first || c.conn.Suite.ID != c.psk.Session.Suite:
		return errEarlyPSK
	case c.conn.ALPN != c.alpn:
		return errEarlyALPN
	}
	c.conn.EarlyData = EarlyDataAccepted
	return nil
}

// endEarlyData: RFC 9846, Section 4.6; RFC 9147bis, Section 5.6, omits the message,
// because the epochs say the same.
func (c *client13) endEarlyData() {
	if !c.out.HasEpochs() {
		c.send(wire.AppendMessage(c.scratch[:0], wire.TypeEndOfEarlyData, nil))
	}
	c.out.InstallWrite(Handshake, c.client.Keys)
}

// resume13 continues with the selected PSK. It asks whether early data is new.
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

// mayHaveEarlyData reports whether early data can be accepted unless it is a replay: RFC
// 9846, Section 4.3.10.
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

func shortHash(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:16]
}

// installRead installs the keys for what the client sends next.
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
	if err == nil && s.out.HasEpochs() {
		err = s.out.InstallRead(Handshake, s.client.Keys)
	}
	return err
}

// onEndOfEarlyData: RFC 9846, Section 4.6.
func (s *server13) onEndOfEarlyData(msg wire.Message) (step, error) {
	if len(msg.Body) != 0 {
		return step{}, errEndOfEarlyData
	}
	s.transcript.add(msg)
	err := s.out.InstallRead(Handshake, s.client.Keys)
	s.conn.LimitRecords(s.out) // which do not count for early data
	return expect(s.onFinished, wire.TypeFinished), err
}

// skipEarlyData: RFC 9846, Section 4.3.10: a server that does not accept early data skips
// as much as it permits, or permitted when it issued the ticket.
func (s *server13) skipEarlyData() {
	if !s.hello.Has.Has(wire.ExtEarlyData) {
		return
	}
	s.conn.EarlyData = EarlyDataRejected
	most := max(minSkipped, s.params.MaxEarlyData)
	if s.psk != nil && s.psk.Session != nil {
		most = max(most, s.psk.Session.MaxEarlyData)
	}
	s.out.SkipEarlyData(most)
}
