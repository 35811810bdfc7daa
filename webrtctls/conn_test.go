package webrtctls

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"github.com/hermetic-tls/hermetic"
)

// An identity is a certificate and its fingerprint.
type identity struct {
	own   tls.Certificate
	print Fingerprint
}

func newIdentity(t testing.TB) identity {
	t.Helper()
	own, err := NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return identity{own, fingerprint(t, own.Leaf, 0)}
}

// configs are those of a client and a server that know each other.
func configs(t testing.TB) (client, server *hermetic.Config) {
	t.Helper()
	c, s := newIdentity(t), newIdentity(t)
	return NewConfig(c.own, s.print), NewConfig(s.own, c.print)
}

// pair runs a client and a server over two connections.
func pair(t *testing.T, a, b net.Conn, client, server *hermetic.Config) (c, s *Conn) {
	t.Helper()
	c, s = New(a, hermetic.DTLSClient, client), New(b, hermetic.DTLSServer, server)
	t.Cleanup(func() {
		c.Close()
		s.Close()
	})
	return c, s
}

// handshake performs both handshakes and returns their errors.
func handshake(t *testing.T, c, s *Conn) (client, server error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.HandshakeContext(ctx) }()
	client = c.HandshakeContext(ctx)
	return client, <-done
}

func establish(t *testing.T, c, s *Conn) {
	t.Helper()
	if err, err2 := handshake(t, c, s); err != nil || err2 != nil {
		t.Fatalf("the handshake: client %v, server %v", err, err2)
	}
}

// exchange sends datagrams in both directions, until one has come each way.
func exchange(t *testing.T, c, s *Conn) {
	t.Helper()
	for _, way := range [][2]*Conn{{c, s}, {s, c}} {
		text := []byte(crand.Text())
		stop := make(chan struct{})
		go func() { // what is lost while ICE has no pair is sent again, as SCTP does
			for {
				way[0].Write(text)
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		}()
		buf := make([]byte, 100)
		if err := way[1].SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		for {
			n, err := way[1].Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(buf[:n], text) { // not one of an earlier exchange
				break
			}
		}
		close(stop)
	}
}

// exchangeMedia sends an RTP packet over SRTP in both directions.
func exchangeMedia(t *testing.T, c, s *Conn) {
	t.Helper()
	sessions := make([]*srtp.SessionSRTP, 2)
	for i, conn := range []*Conn{c, s} {
		cfg, err := conn.SRTPConfig()
		if err != nil {
			t.Fatal(err)
		}
		if sessions[i], err = srtp.NewSessionSRTP(conn.SRTP(), cfg); err != nil {
			t.Fatal(err)
		}
		defer sessions[i].Close()
	}
	for i := range sessions {
		out, err := sessions[i].OpenWriteStream()
		if err != nil {
			t.Fatal(err)
		}
		ssrc := uint32(1000 + i)
		header := &rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: 7, SSRC: ssrc}
		if _, err := out.WriteRTP(header, []byte("a frame")); err != nil {
			t.Fatal(err)
		}
		in, got, err := sessions[1-i].AcceptStream()
		if err != nil || got != ssrc {
			t.Fatalf("the stream %d, %v", got, err)
		}
		buf := make([]byte, 1500)
		n, err := in.Read(buf)
		if err != nil || !bytes.HasSuffix(buf[:n], []byte("a frame")) {
			t.Errorf("%q, %v", buf[:n], err)
		}
	}
}

// TestOverICE: data and media over pion/ice, in each version and with each profile, and across
// ICE restarts after which both sides have other addresses.
func TestOverICE(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, profile := range []uint16{SRTPAES128CM80, SRTPAES128CM32, SRTPAES128GCM, SRTPAES256GCM} {
			t.Run(fmt.Sprint(tls.VersionName(version), " with profile ", profile), func(t *testing.T) {
				t.Parallel()
				a, b := connect(t)
				client, server := configs(t)
				client.MaxVersion, server.DTLS.SRTPProfiles = version, []uint16{profile}
				client.DTLS.SRTPProfiles = append(client.DTLS.SRTPProfiles, SRTPAES128CM32)
				c, s := pair(t, a.conn, b.conn, client, server)
				if _, err := c.SRTPConfig(); err != errHandshake {
					t.Errorf("the keys before the handshake: %v", err)
				}
				establish(t, c, s)
				for _, conn := range []*Conn{c, s} {
					if state := conn.State(); state.Version != version || state.SRTPProfile != profile {
						t.Errorf("version %#x, profile %d", state.Version, state.SRTPProfile)
					}
				}
				exchange(t, c, s)
				exchangeMedia(t, c, s)
				restart(t, a, b, func() {
					if n, err := c.Write([]byte("into the void")); n != 13 || err != nil {
						t.Errorf("Write without a pair: %d, %v", n, err)
					}
				})
				exchange(t, c, s)
				if n := c.Lost().Unsent; n == 0 {
					t.Error("a datagram without a pair was not counted")
				}
			})
		}
	}
}

// TestPairChange: ICE moves to another pair, without a restart, as when a better path appears.
func TestPairChange(t *testing.T) {
	t.Parallel()
	var nominations atomic.Uint32
	renomination := ice.WithRenomination(func() uint32 { return nominations.Add(1) })
	both := []net.IP{loopback(1), loopback(2)}
	a, b := newSide(t, both, renomination), newSide(t, both, renomination)
	join(t, a, b)
	client, server := configs(t)
	c, s := pair(t, a.conn, b.conn, client, server)
	establish(t, c, s)
	exchange(t, c, s)
	changed := make(chan string, 64)
	if err := a.OnSelectedCandidatePairChange(func(local, remote ice.Candidate) {
		changed <- local.Address() + " " + remote.Address()
	}); err != nil {
		t.Fatal(err)
	}
	before, err := a.GetSelectedCandidatePair()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range a.GetCandidatePairsStats() {
		local, remote := candidate(t, a.GetLocalCandidates, p.LocalCandidateID), candidate(t, a.GetRemoteCandidates, p.RemoteCandidateID)
		if p.State != ice.CandidatePairStateSucceeded || local.Address() == before.Local.Address() && remote.Address() == before.Remote.Address() {
			continue
		}
		if err := a.RenominateCandidate(local, remote); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-changed:
			if want := local.Address() + " " + remote.Address(); got != want {
				t.Errorf("the pair is %s, want %s", got, want)
			}
		case <-time.After(patience):
			t.Fatal("ICE does not change its pair")
		}
		exchange(t, c, s)
		return
	}
	t.Fatal("ICE has no other pair")
}

func candidate(t *testing.T, all func() ([]ice.Candidate, error), id string) ice.Candidate {
	t.Helper()
	list, err := all()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if c.ID() == id {
			return c
		}
	}
	t.Fatalf("no candidate %s", id)
	return nil
}

// TestRestartInHandshake: ICE restarts while the handshake is under way; what was lost is sent
// again on the new pair.
func TestRestartInHandshake(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			a, b := connect(t)
			client, server := configs(t)
			client.MaxVersion = version
			// The server does not answer before the restart: its first flight has no pair.
			asked, restarted := make(chan struct{}), make(chan struct{})
			server.GetConfigForClient = func(*hermetic.ClientHello) (*hermetic.Config, error) {
				select {
				case <-asked:
				default:
					close(asked)
				}
				<-restarted
				return nil, nil
			}
			c, s := pair(t, a.conn, b.conn, client, server)
			go func() {
				<-asked
				close(restarted)
			}()
			done := make(chan error, 2)
			for _, conn := range []*Conn{c, s} {
				go func() { done <- conn.HandshakeContext(t.Context()) }()
			}
			<-asked
			restart(t, a, b, func() {})
			for range 2 {
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
			exchange(t, c, s)
		})
	}
}

// TestPeersThatAreNotAnnounced: a wrong certificate, none, or nothing to compare with ends the
// handshake on both sides, in both roles, with the alert of RFC 8122, Section 6.2.
func TestPeersThatAreNotAnnounced(t *testing.T) {
	stranger := newIdentity(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for name, test := range map[string]struct {
			change func(client, server *hermetic.Config)
			judge  hermetic.Mode // the side that refuses
			alert  hermetic.Alert
			want   string
		}{
			"a server with another certificate": {func(_, server *hermetic.Config) {
				server.Certificates = []tls.Certificate{stranger.own}
			}, hermetic.DTLSClient, hermetic.AlertBadCertificate, errFingerprint.Error()},
			"a client with another certificate": {func(client, _ *hermetic.Config) {
				client.Certificates = []tls.Certificate{stranger.own}
			}, hermetic.DTLSServer, hermetic.AlertBadCertificate, errFingerprint.Error()},
			"a client without a certificate": {func(client, _ *hermetic.Config) {
				client.Certificates = nil
			}, hermetic.DTLSServer, 0, "certificate"},
			"a client without a certificate, and a server that does not demand one": {func(client, server *hermetic.Config) {
				client.Certificates = nil
				server.ClientAuth = tls.RequestClientCert
			}, hermetic.DTLSServer, hermetic.AlertBadCertificate, errNoCertificate.Error()},
			"a client that knows no fingerprint": {func(client, _ *hermetic.Config) {
				client.VerifyConnection = NewConfig(stranger.own).VerifyConnection
			}, hermetic.DTLSClient, hermetic.AlertBadCertificate, errNoFingerprint.Error()},
		} {
			t.Run(tls.VersionName(version)+"/"+name, func(t *testing.T) {
				t.Parallel()
				a, b := newPipe()
				client, server := configs(t)
				client.MaxVersion = version
				test.change(client, server)
				c, s := pair(t, a, b, client, server)
				errClient, errServer := handshake(t, c, s)
				judge, other := errClient, errServer
				if test.judge == hermetic.DTLSServer {
					judge, other = errServer, errClient
					if version == tls.VersionTLS13 { // the client has finished before it is judged
						_, other = c.Read(make([]byte, 1))
					}
				}
				var alert, remote *hermetic.AlertError
				if !errors.As(judge, &alert) || test.alert != 0 && alert.Alert != test.alert || !strings.Contains(judge.Error(), test.want) {
					t.Errorf("the side that judges: %v", judge)
				}
				if !errors.As(other, &remote) || alert != nil && remote.Alert != alert.Alert {
					t.Errorf("the side that is refused: %v", other)
				}
				if _, err := c.SRTPConfig(); test.judge == hermetic.DTLSClient && err == nil {
					t.Error("there are keys of SRTP")
				}
			})
		}
	}
}

// TestNoSRTP: without use_srtp there is data, and no key.
func TestNoSRTP(t *testing.T) {
	a, b := newPipe()
	client, server := configs(t)
	client.DTLS.SRTPProfiles = nil
	c, s := pair(t, a, b, client, server)
	establish(t, c, s)
	exchange(t, c, s)
	if _, err := s.SRTPConfig(); err != errProfile {
		t.Errorf("the keys: %v", err)
	}
}

// TestVanish: a peer that falls silent, at once or in the middle, ends the handshake when all
// timeouts are over, and no sooner than the context otherwise.
func TestVanish(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for n := range 4 { // datagrams, before the peer vanishes
			for _, role := range []hermetic.Mode{hermetic.DTLSClient, hermetic.DTLSServer} {
				t.Run(fmt.Sprint(tls.VersionName(version), "/", role, "/", n), func(t *testing.T) {
					t.Parallel()
					a, b := newPipe()
					client, server := configs(t)
					client.MaxVersion = version
					vanishing, stays := a, server
					if role == hermetic.DTLSClient {
						vanishing, stays = b, client
					}
					stays.DTLS.RetransmitTimeout, stays.DTLS.MaxRetransmitTimeout, stays.DTLS.MaxTimeouts = time.Millisecond, time.Millisecond, 5
					stays.DTLS.MaxFlightPause = 20 * time.Millisecond
					var sent atomic.Int64
					lost := errors.New("lost")
					vanishing.failWith(func([]byte) error {
						if sent.Add(1) > int64(n) {
							return lost
						}
						return nil
					})
					c, s := pair(t, a, b, client, server)
					survivor, gone := s, c
					if role == hermetic.DTLSClient {
						survivor, gone = c, s
					}
					go gone.Handshake()
					limit, want := patience, hermetic.ErrTimeout
					if role == hermetic.DTLSServer && n == 0 { // it has nothing to send again
						limit, want = 50*time.Millisecond, context.DeadlineExceeded
					}
					ctx, cancel := context.WithTimeout(t.Context(), limit)
					defer cancel()
					// After the peer's last datagram, its silence is no fault.
					if err := survivor.HandshakeContext(ctx); err == nil && n == 0 || err != nil && !errors.Is(err, want) {
						t.Errorf("it ends with %v", err)
					}
				})
			}
		}
	}
}

// TestGarbage: datagrams of a stranger, before, in and after the handshake, are dropped and
// counted, and nothing of what is kept of them grows without end.
func TestGarbage(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(20, uint64(version)))
			garbage := func(to *pipe, n int) {
				for range n {
					d := make([]byte, 1+random.IntN(1200))
					for i := range d {
						d[i] = byte(random.Uint32())
					}
					to.inject(t, d)
				}
			}
			a, b := newPipe()
			client, server := configs(t)
			client.MaxVersion = version
			c, s := pair(t, a, b, client, server)
			garbage(a, 500)
			garbage(b, 500)
			stop, stopped := make(chan struct{}), make(chan struct{})
			noise := rand.New(rand.NewPCG(21, uint64(version)))
			go func() {
				defer close(stopped)
				for {
					select {
					case <-stop:
						return
					case a.in <- []byte{byte(20 + noise.IntN(44)), 254, 253, 0, 0, byte(noise.Uint32())}:
					}
				}
			}()
			establish(t, c, s)
			close(stop)
			<-stopped
			garbage(a, 5000)
			exchange(t, c, s)
			for range maxPacketsSRTP { // nobody reads media
				b.inject(t, append([]byte{0x80, 96}, make([]byte, 998)...))
				b.inject(t, []byte{0x80, 200})
			}
			exchange(t, c, s)
			if lost := s.Lost(); lost.SRTP == 0 || lost.SRTCP == 0 || lost.Unknown == 0 {
				t.Errorf("lost: %+v", lost)
			}
			if size := s.mux.srtp.unread.Size(); size > maxUnreadSRTP {
				t.Errorf("%d bytes of SRTP are kept", size)
			}
			if n := s.mux.srtcp.unread.Count(); n > maxPacketsSRTCP {
				t.Errorf("%d packets of SRTCP are kept", n)
			}
		})
	}
}

// TestLoss: a handshake and data, whatever the path loses, for many seeds.
func TestLoss(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for seed := range uint64(30) {
			t.Run(fmt.Sprint(tls.VersionName(version), "/", seed), func(t *testing.T) {
				t.Parallel()
				a, b := newPipe()
				client, server := configs(t)
				client.MaxVersion = version
				client.DTLS.RetransmitTimeout, server.DTLS.RetransmitTimeout = time.Millisecond, time.Millisecond
				for i, p := range []*pipe{a, b} {
					random, lost := rand.New(rand.NewPCG(seed, uint64(i))), errors.New("lost")
					p.failWith(func([]byte) error { // one datagram after another
						if random.IntN(10) < 3 {
							return lost
						}
						return nil
					})
				}
				c, s := pair(t, a, b, client, server)
				establish(t, c, s)
				exchange(t, c, s)
			})
		}
	}
}

// TestStall: a transport whose writes never return keeps nobody after Close, in the handshake and
// after it.
func TestStall(t *testing.T) {
	for _, established := range []bool{false, true} {
		t.Run(fmt.Sprint("established: ", established), func(t *testing.T) {
			t.Parallel()
			a, b := newPipe()
			client, server := configs(t)
			c, s := pair(t, a, b, client, server)
			if established {
				establish(t, c, s)
			}
			writing := make(chan struct{}, 16)
			a.failWith(func([]byte) error {
				writing <- struct{}{}
				<-a.closed
				return net.ErrClosed
			})
			done := make(chan error, 2)
			go func() {
				_, err := c.Write([]byte("data"))
				done <- err
			}()
			go func() {
				_, err := c.SRTP().Write([]byte{0x80, 96})
				done <- err
			}()
			<-writing
			<-writing
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			for range 2 {
				if err := <-done; err == nil {
					t.Error("a Write succeeds")
				}
			}
		})
	}
}

// TestUnused: Close closes the ICE connection of a Conn that was never used, or cannot be.
func TestUnused(t *testing.T) {
	good, _ := configs(t)
	for name, cfg := range map[string]*hermetic.Config{"good": good, "empty": {}, "nil": nil, "without a certificate": NewConfig(tls.Certificate{})} {
		for _, role := range []hermetic.Mode{hermetic.DTLSClient, hermetic.DTLSServer, 0} {
			a, _ := newPipe()
			c := New(a, role, cfg)
			if name == "without a certificate" {
				var bad *hermetic.ConfigError
				if err := c.Handshake(); !errors.As(err, &bad) {
					t.Errorf("%s, %v: %v", name, role, err)
				}
			}
			c.Close()
			select {
			case <-a.closed:
			case <-time.After(patience):
				t.Errorf("%s, %v: the ICE connection is open", name, role)
			}
		}
	}
}

// TestAllocations: what ICE delivers costs no allocation until its protocol reads it.
func TestAllocations(t *testing.T) {
	a, _ := newPipe()
	defer a.Close()
	m := newMux(a)
	packet, buf := append([]byte{0x80, 96}, make([]byte, 1000)...), make([]byte, 1500)
	if n := testing.AllocsPerRun(1000, func() {
		m.sort(packet)
		m.srtp.Read(buf)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestFailingTransport: ICE that cannot send for a while, with any error, costs time only.
func TestFailingTransport(t *testing.T) {
	for name, fault := range map[string]error{"no pair": ice.ErrNoCandidatePairs, "a timeout": timeout{}, "anything": errors.New("the network is down")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := newPipe()
			client, server := configs(t)
			client.DTLS.RetransmitTimeout, server.DTLS.RetransmitTimeout = 5*time.Millisecond, 5*time.Millisecond
			var failures atomic.Int64
			for _, p := range []*pipe{a, b} {
				p.failWith(func([]byte) error {
					if failures.Add(1) <= 4 {
						return fault
					}
					return nil
				})
			}
			c, s := pair(t, a, b, client, server)
			establish(t, c, s)
			exchange(t, c, s)
			if n := c.Lost().Unsent + s.Lost().Unsent; n != 4 {
				t.Errorf("%d datagrams were not sent, want 4", n)
			}
		})
	}
}

type timeout struct{}

func (timeout) Error() string   { return "timeout" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

// TestClose: the peer hears a close_notify, and whatever waits returns.
func TestClose(t *testing.T) {
	a, b := newPipe()
	client, server := configs(t)
	c, s := pair(t, a, b, client, server)
	establish(t, c, s)
	ended := make(chan error, 4)
	for _, conn := range []net.Conn{c.SRTP(), c.SRTCP(), s.SRTP()} {
		go func() {
			_, err := conn.Read(make([]byte, 1500))
			ended <- err
		}()
	}
	if err := s.SRTP().Close(); err != nil {
		t.Error(err)
	}
	exchange(t, c, s) // the others go on
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	for range 3 {
		if err := <-ended; err != io.EOF {
			t.Errorf("a Read ends with %v", err)
		}
	}
	for {
		if _, err := s.Read(make([]byte, 100)); err != nil {
			if err != io.EOF {
				t.Errorf("the peer reads %v", err)
			}
			break
		}
	}
	select {
	case <-a.closed:
	default:
		t.Error("the ICE connection is open")
	}
	if err := c.Close(); err != net.ErrClosed {
		t.Errorf("the second Close: %v", err)
	}
}

// TestICEEnds: when ICE ends without a close_notify, everybody hears of it.
func TestICEEnds(t *testing.T) {
	a, b := connect(t)
	client, server := configs(t)
	c, s := pair(t, a.conn, b.conn, client, server)
	establish(t, c, s)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 100)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("Read: %v", err)
	}
	if _, err := c.SRTP().Read(make([]byte, 100)); err != io.EOF {
		t.Errorf("Read of SRTP: %v", err)
	}
}

// TestOwner: the first byte tells the protocol (RFC 7983, Section 7), and the second one RTCP from
// RTP (RFC 5761, Section 4).
func TestOwner(t *testing.T) {
	a, _ := newPipe()
	defer a.Close()
	m := newMux(a)
	for first := range 256 {
		for second := range 256 {
			want := (*endpoint)(nil)
			switch {
			case first >= 20 && first <= 63:
				want = m.dtls
			case first >= 128 && first <= 191 && second >= 192 && second <= 223:
				want = m.srtcp
			case first >= 128 && first <= 191:
				want = m.srtp
			}
			if got := m.owner([]byte{byte(first), byte(second)}); got != want {
				t.Fatalf("%d, %d: it is another one's", first, second)
			}
		}
	}
	if m.owner([]byte{22}) != m.dtls || m.owner([]byte{128}) != m.srtp || m.owner([]byte{0}) != nil {
		t.Error("a datagram of one byte")
	}
}

// TestEndpoints: deadlines are each endpoint's own, and large and empty datagrams harm nobody.
func TestEndpoints(t *testing.T) {
	a, b := newPipe()
	defer a.Close()
	m := newMux(a)
	if err := m.srtp.SetDeadline(time.Unix(1, 0)); err != nil {
		t.Error(err)
	}
	var late net.Error
	if _, err := m.srtp.Read(make([]byte, 10)); !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("after the deadline: %v", err)
	}
	b.Write(nil)
	b.Write(append([]byte{22}, make([]byte, maxDatagram)...))
	b.Write(append([]byte{22}, make([]byte, maxDatagram-1)...))
	b.Write([]byte{200, 1, 2})
	b.Write([]byte{22, 1, 2})
	buf := make([]byte, 2*maxDatagram)
	for _, want := range []int{maxDatagram, 3} {
		if n, err := m.dtls.Read(buf); n != want || err != nil {
			t.Errorf("Read: %d, %v, want %d", n, err, want)
		}
	}
	if got, want := m.lost(), (Lost{Oversized: 1, Unknown: 1}); got != want {
		t.Errorf("lost: %+v, want %+v", got, want)
	}
	if m.srtp.LocalAddr() != nil || m.srtp.RemoteAddr() != nil {
		t.Error("addresses that ICE does not have")
	}
}

// idleConn returns at once from each Read: nothing, unless there is a datagram.
type idleConn struct {
	net.Conn
	err   error // with nothing
	reads atomic.Int64
	next  chan []byte
}

func (c *idleConn) Read(p []byte) (int, error) {
	c.reads.Add(1)
	select {
	case datagram, ok := <-c.next:
		if !ok {
			return 0, io.EOF
		}
		return copy(p, datagram), nil
	default:
		return 0, c.err
	}
}

// TestIdleReads: a connection below whose reads bring nothing, without waiting, costs no processor,
// and what it brings later arrives.
func TestIdleReads(t *testing.T) {
	for name, err := range map[string]error{"no error": nil, "too large": io.ErrShortBuffer} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := &idleConn{err: err, next: make(chan []byte)}
				m := newMux(conn)
				time.Sleep(time.Minute)
				synctest.Wait()
				if most := int64(maxEmpty * (time.Minute/pause + 1)); conn.reads.Load() > most {
					t.Errorf("%d reads in a minute, more than %d", conn.reads.Load(), most)
				}
				for range 2 * maxEmpty {
					select {
					case conn.next <- []byte{22, 1, 2}:
					case <-time.After(time.Minute):
						t.Fatal("nothing is read")
					}
					if n, err := m.dtls.Read(make([]byte, 10)); n != 3 || err != nil {
						t.Fatalf("Read: %d, %v", n, err)
					}
				}
				close(conn.next)
				if _, err := m.dtls.Read(make([]byte, 10)); err != io.EOF {
					t.Errorf("at the end: %v", err)
				}
			})
		})
	}
}

// floodedConn has so many datagrams of no use before each one that is.
type floodedConn struct {
	net.Conn
	useless, n int
	next       chan []byte
}

func (c *floodedConn) Read(p []byte) (int, error) {
	if c.n++; c.n%(c.useless+1) != 0 {
		return 0, nil
	}
	datagram, ok := <-c.next
	if !ok {
		return 0, io.EOF
	}
	return copy(p, datagram), nil
}

// TestUselessDatagrams: empty datagrams, which anybody may send, hardly delay others.
func TestUselessDatagrams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &floodedConn{useless: 1000, next: make(chan []byte)}
		m := newMux(conn)
		began := time.Now()
		for range 100 {
			conn.next <- []byte{22, 1, 2}
			if n, err := m.dtls.Read(make([]byte, 10)); n != 3 || err != nil {
				t.Fatalf("Read: %d, %v", n, err)
			}
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("100 datagrams, each after 1,000 empty ones, take %v", took)
		}
		close(conn.next)
		if _, err := m.dtls.Read(make([]byte, 10)); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
	})
}
