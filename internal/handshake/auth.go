package handshake

import (
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var (
	errNoCertificate  = alert.New(alert.DecodeError, "the server sent an empty Certificate message")
	errCertRequired   = alert.New(alert.CertificateRequired, "the client sent no certificate")
	errCertRequired12 = alert.New(alert.HandshakeFailure, "the client sent no certificate")
	errSchemeOffered  = alert.New(alert.IllegalParameter, "the peer signed with a scheme that was not offered")
	errSchemeKey      = alert.New(alert.IllegalParameter, "the peer signed with a scheme that does not fit its key")
	errNoCertFits     = alert.New(alert.HandshakeFailure, "no certificate fits what the peer supports")
	errRawKeyCount    = alert.New(alert.DecodeError, "more than one raw public key in a Certificate message")
)

// parseCertificate13 reads the peer's Certificate message of TLS 1.3 into the
// connection. An empty one leaves Peer nil.
// offered is the extensions that may answer what we have sent.
func (m *Machine) parseCertificate13(received wire.Message, offered wire.ExtensionSet) error {
	body, err := m.uncompressed(received)
	if err != nil {
		return err
	}
	var msg wire.Certificate13
	if err := msg.Parse(body); err != nil {
		return err
	}
	if len(msg.Context) != 0 {
		return errContext
	}
	var chain [][]byte
	peer := new(Peer)
	for rest := msg.Entries; len(rest) > 0; {
		var e wire.CertificateEntry
		var err error
		if e, rest, err = wire.NextEntry(rest, offered); err != nil {
			return err
		}
		switch {
		case e.Unknown:
			return errUnsolicited
		case e.Has.Minus(wire.InCertificate) != 0:
			return errMisplaced
		}
		if len(chain) == 0 {
			peer.staple(slices.Clone(e.OCSP), slices.Clone(e.SCTs))
		} else {
			m.staples = append(m.staples, slices.Clone(e.OCSP))
		}
		chain = append(chain, e.Data)
	}
	return m.acceptCertificate(peer, chain)
}

// parseCertificate12 is the same for TLS 1.2.
func (m *Machine) parseCertificate12(body []byte) error {
	var msg wire.Certificate12
	err := msg.Parse(body)
	var chain [][]byte
	for rest := msg.List; len(rest) > 0 && err == nil; {
		der := rest
		if m.peerCertType == pki.RawPublicKey {
			rest = nil // RFC 7250, Section 3: the message is the key, without a list
		} else {
			der, rest, err = wire.NextCertificate(rest)
		}
		chain = append(chain, der)
	}
	if err != nil {
		return err
	}
	return m.acceptCertificate(new(Peer), chain)
}

func (m *Machine) acceptCertificate(peer *Peer, chain [][]byte) (err error) {
	switch {
	case len(chain) == 0:
		return nil
	case m.peerCertType != pki.RawPublicKey:
		peer.Chain, err = m.params.Chains.Get(chain)
	case len(chain) != 1:
		return errRawKeyCount
	default:
		peer.RawKey, err = m.params.Chains.RawKey(chain[0])
	}
	if err != nil {
		return err
	}
	m.conn.Peer = peer
	return nil
}

// verify asks for the verdict, and continues with next.
func (m *Machine) verify(next func() (step, error)) step {
	m.verdict = Verify{Peer: m.conn.Peer, Staples: m.staples, Resumed: m.conn.Resumed}
	return ask(&m.verdict, next)
}

// judge asks for a verdict where no certificate was sent, if the configuration wants to
// be asked, and continues with next.
func (m *Machine) judge(next func() (step, error)) (step, error) {
	if !m.params.AskVerify {
		return next()
	}
	return m.verify(next), nil
}

// verifySignature13 takes a CertificateVerify of TLS 1.3 (RFC 9846, Section 4.5.2).
func (m *Machine) verifySignature13(msg wire.Message, context string) error {
	var cv wire.CertificateVerify
	if err := cv.Parse(msg.Body); err != nil {
		return err
	}
	err := m.checkSignature(&cv, suite.SignedMessage13(nil, context, m.transcript.sum()))
	m.transcript.add(msg)
	return err
}

// checkSignature checks the peer's signature of either version.
func (m *Machine) checkSignature(cv *wire.CertificateVerify, message []byte) error {
	s, key := suite.Scheme(cv.Scheme), m.conn.Peer.PublicKey()
	switch {
	case !slices.Contains(m.params.Schemes, s):
		return errSchemeOffered
	case !s.Usable(key, m.conn.Version):
		return errSchemeKey
	}
	m.conn.PeerScheme = s
	return s.Verify(key, message, cv.Signature)
}

// requested returns the question of which certificate answers a server's request.
func (m *Machine) requested(schemes, schemesCert wire.Uint16s, authorities wire.Names) *Choose {
	return &Choose{Criteria: pki.Criteria{
		Keys:        m.params.Keys,
		Version:     m.conn.Version,
		Schemes:     slices.Clone(schemes),
		SchemesCert: slices.Clone(schemesCert),
		Authorities: slices.Clone(authorities),
		Types:       []uint8{m.localCertType},
	}}
}

// sendCertificate13 sends id's chain, or an empty one if id is nil. The peer understands
// compressors, and staple and scts report whether it asked for an OCSP response and for
// certificate timestamps.
func (m *Machine) sendCertificate13(id *pki.Identity, compressors wire.Uint16s, staple, scts bool) error {
	var msg wire.Certificate13
	if id != nil {
		for i, der := range id.Chain() {
			e := wire.CertificateEntry{Data: der}
			if i == 0 && staple && len(id.Certificate.OCSPStaple) > 0 {
				e.OCSP = id.Certificate.OCSPStaple
				e.Has.Add(wire.ExtStatusRequest)
			}
			if i == 0 && scts && len(id.Certificate.SignedCertificateTimestamps) > 0 {
				e.SCTs = wire.AppendSCTs(nil, id.Certificate.SignedCertificateTimestamps)
				e.Has.Add(wire.ExtSCT)
			}
			msg.Entries = wire.AppendEntry(msg.Entries, &e)
		}
	}
	if id == nil {
		compressors = nil // an empty message only grows
	}
	return m.sendCertificateMessage(msg.Append(m.scratch[:0]), compressors)
}

// sign13 asks for the signature of a CertificateVerify, sends it and continues
// with next.
func (m *Machine) sign13(id *pki.Identity, scheme suite.Scheme, context string, next func() (step, error)) (step, error) {
	message := suite.SignedMessage13(nil, context, m.transcript.sum())
	return m.sign(id, scheme, message, func(signature []byte) (step, error) {
		cv := wire.CertificateVerify{Scheme: uint16(scheme), Signature: signature}
		m.send(cv.Append(m.scratch[:0]))
		return next()
	}), nil
}

// sign asks for a signature and continues with next.
func (m *Machine) sign(id *pki.Identity, scheme suite.Scheme, message []byte, next func(signature []byte) (step, error)) step {
	q := &Sign{Identity: id, Scheme: scheme, Message: message}
	return ask(q, func() (step, error) {
		m.conn.Local, m.conn.LocalScheme = id.Certificate, scheme
		m.conn.rawLocal = id.Type == pki.RawPublicKey
		return next(q.Signature)
	})
}

func acceptsType(types []uint8, t uint8) bool {
	if len(types) == 0 {
		return t == pki.X509
	}
	return slices.Contains(types, t)
}
