package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/pion/datachannel"
	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/sctp"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/webrtctls"
)

// A session is our end of a peer connection. It lives until ICE fails or the page is closed.
type session struct {
	id      string
	ctx     context.Context // ends with the session
	cancel  context.CancelFunc
	setup   webrtctls.Setup
	role    hermetic.Mode
	config  *hermetic.Config
	print   webrtctls.Fingerprint // of our certificate
	ice     *ice.Agent
	network *network

	negotiation sync.Mutex // one offer at a time

	mu      sync.Mutex
	path    string                   // our address, as ICE has chosen it
	channel *datachannel.DataChannel // the first one
}

// newSession prepares the answer to an offer: our role, our certificate, and the peer that we expect.
func newSession(ips []net.IP, o *offer, setup, version string) (*session, error) {
	s := &session{id: rand.Text(), setup: webrtctls.Setup(setup)}
	if setup == "" {
		s.setup = o.setup.Answer()
	}
	var err error
	if s.role, err = webrtctls.Role(s.setup, o.setup); err != nil {
		return nil, err
	}
	own, err := webrtctls.NewCertificate()
	if err != nil {
		return nil, err
	}
	if s.print, err = webrtctls.NewFingerprint(own.Leaf, 0); err != nil {
		return nil, err
	}
	s.config = webrtctls.NewConfig(own, o.fingerprints...)
	switch version {
	case "":
	case "1.2":
		s.config.MaxVersion = tls.VersionTLS12
	case "1.3":
		s.config.MinVersion = tls.VersionTLS13
	default:
		return nil, fmt.Errorf("there is no DTLS %.10q", version)
	}
	if s.network, err = newNetwork(ips); err != nil {
		return nil, err
	}
	return s, s.startICE()
}

// startICE makes the agent that finds paths to the browser.
func (s *session) startICE() (err error) {
	s.ice, err = ice.NewAgentWithOptions(
		ice.WithNet(s.network),
		ice.WithIncludeLoopback(),
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6}),
	)
	if err != nil {
		return err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return errors.Join(
		s.ice.OnConnectionStateChange(func(state ice.ConnectionState) {
			if state == ice.ConnectionStateFailed {
				s.cancel()
			}
		}),
		s.ice.OnSelectedCandidatePairChange(func(local, remote ice.Candidate) {
			s.mu.Lock()
			s.path = fmt.Sprintf("%s:%d", local.Address(), local.Port())
			s.mu.Unlock()
			go s.tell()
		}),
	)
}

func (s *session) close() {
	s.cancel()
	s.ice.Close()
}

// answer gathers our candidates and writes the answer to an offer.
func (s *session) answer(o *offer) (string, error) {
	gathered := make(chan struct{}, 1)
	err := s.ice.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			select {
			case gathered <- struct{}{}:
			default:
			}
		}
	})
	if err == nil {
		err = s.ice.GatherCandidates()
	}
	if err != nil {
		return "", err
	}
	select {
	case <-gathered:
	case <-s.ctx.Done():
		return "", s.ctx.Err()
	}
	e := &endpoint{fingerprint: s.print, setup: s.setup}
	if e.ufrag, e.pwd, err = s.ice.GetLocalUserCredentials(); err != nil {
		return "", err
	}
	if e.candidates, err = s.ice.GetLocalCandidates(); err != nil {
		return "", err
	}
	s.addCandidates(o)
	return e.answer(o), nil
}

// addCandidates tells ICE about the browser's candidates. ICE learns those that it cannot use, such
// as names of mDNS, when the browser sends from them.
func (s *session) addCandidates(o *offer) {
	for _, text := range o.candidates {
		if c, err := ice.UnmarshalCandidate(text); err == nil {
			s.ice.AddRemoteCandidate(c)
		}
	}
}

// restart answers an offer that restarts ICE: the paths are new, and DTLS goes on.
func (s *session) restart(o *offer) (string, error) {
	s.negotiation.Lock()
	defer s.negotiation.Unlock()
	s.network.move()
	if err := s.ice.Restart("", ""); err != nil {
		return "", err
	}
	if err := s.ice.SetRemoteCredentials(o.ufrag, o.pwd); err != nil {
		return "", err
	}
	return s.answer(o)
}

// run connects, and serves the browser until one of the protocols is over.
func (s *session) run(o *offer, loss losses) error {
	path, err := s.ice.Accept(s.ctx, o.ufrag, o.pwd) // the offering side controls ICE
	if err != nil {
		return fmt.Errorf("ICE: %w", err)
	}
	conn := webrtctls.New(loss.on(path), s.role, s.config)
	defer conn.Close()
	if err := conn.HandshakeContext(s.ctx); err != nil {
		return fmt.Errorf("DTLS: %w", err)
	}
	ended := make(chan error, 2)
	go func() { ended <- s.data(conn) }()
	go func() { ended <- video(s.ctx, conn) }()
	select {
	case err := <-ended:
		return err
	case <-s.ctx.Done():
		return errors.New("ICE has failed")
	}
}

// maxMessage is the size of the largest message on a data channel.
const maxMessage = 64 << 10

// data sends back what comes on data channels.
func (s *session) data(conn *webrtctls.Conn) error {
	logs := logging.NewDefaultLoggerFactory()
	association, err := sctp.ClientWithOptions(sctp.WithNetConn(conn), sctp.WithMaxMessageSize(maxMessage), sctp.WithLoggerFactory(logs))
	if err != nil {
		return fmt.Errorf("SCTP: %w", err)
	}
	defer association.Close()
	for {
		channel, err := datachannel.Accept(association, &datachannel.Config{LoggerFactory: logs})
		if err != nil {
			return fmt.Errorf("data channels: %w", err)
		}
		if s.first(channel) {
			channel.WriteDataChannel([]byte(describe(conn)), true)
			s.tell()
		}
		go echo(channel)
	}
}

// first reports whether a channel is the first one, which hears what happens.
func (s *session) first(channel *datachannel.DataChannel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.channel == nil {
		s.channel = channel
	}
	return s.channel == channel
}

// tell tells the browser where we are.
func (s *session) tell() {
	s.mu.Lock()
	path, channel := s.path, s.channel
	s.mu.Unlock()
	if channel != nil && path != "" {
		channel.WriteDataChannel([]byte("The program is at "+path+"."), true)
	}
}

func echo(channel *datachannel.DataChannel) {
	defer channel.Close()
	buf := make([]byte, maxMessage)
	for {
		n, isText, err := channel.ReadDataChannel(buf)
		if err == nil {
			_, err = channel.WriteDataChannel(buf[:n], isText)
		}
		if err != nil {
			return
		}
	}
}

// describe says what was negotiated.
func describe(conn *webrtctls.Conn) string {
	state := conn.State()
	profile := "no SRTP"
	if state.SRTPProfile != 0 {
		profile = hermetic.SRTPProfileName(state.SRTPProfile)
	}
	role := "client"
	if state.Mode.IsServer() {
		role = "server"
	}
	return fmt.Sprintf("D%s, and the program is the %s: %s, %s, %s.", tls.VersionName(state.Version), role,
		hermetic.CipherSuiteName(state.CipherSuite), hermetic.GroupName(state.CurveID), profile)
}
