package hermetic

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/pki"
)

var (
	errOnlyRawKeys = alert.New(alert.UnsupportedCertificate, "the peer has a certificate, and only raw public keys are accepted")
	errRawKey      = alert.New(alert.BadCertificate, "the peer's raw public key is not one of PeerPublicKeys")
	errNoName      = alert.New(alert.BadCertificate, "the server shows a certificate, and there is no ServerName to verify it by")
	errCallback    = "the configuration's callback failed"
	errBadConfig   = "the configuration chosen for this client is invalid"
)

// ask answers a question of the handshake from the Config, or returns it in the form in
// which the caller is asked.
func (e *Engine) ask(q handshake.Question) Pending {
	switch q := q.(type) {
	case *handshake.Configure:
		return e.configure(q)
	case *handshake.Choose:
		return e.choose(q)
	case *handshake.Sign:
		if e.plan.cfg.asks(AsyncSign) {
			return &SignRequest{
				Certificate: q.Identity.Certificate,
				Scheme:      tls.SignatureScheme(q.Scheme),
				Message:     slices.Clone(q.Message),
				question:    question{e},
			}
		}
		q.Signature, q.Err = q.Scheme.Sign(e.params().Rand, q.Identity.Certificate.PrivateKey.(crypto.Signer), q.Message)
	case *handshake.Verify:
		return e.verify(q)
	case *handshake.Offer:
		return e.offer(q)
	case *handshake.FindPSK:
		return e.findPSK(q)
	case *handshake.Resume:
		return e.decide(q)
	case *handshake.ClientPSK:
		return e.clientPSK(q)
	case *handshake.SealTicket:
		return e.sealTicket(q)
	case *handshake.Unseen:
		return e.unseen(q)
	}
	return nil
}

// configure asks GetConfigForClient, or the caller.
func (e *Engine) configure(q *handshake.Configure) Pending {
	criteria := &pki.Criteria{Version: tls.VersionTLS12, Schemes: q.Hello.SignatureSchemes, SchemesCert: q.Hello.SignatureSchemesCert, Types: []uint8{pki.X509}}
	hello := newClientHello(e, q.Hello, criteria)
	if e.plan.cfg.asks(AsyncConfig) {
		return &ConfigRequest{ClientHello: hello, question: question{e}}
	}
	cfg, err := e.plan.cfg.GetConfigForClient(hello)
	e.configured(q, cfg, err)
	return nil
}

// configured uses the Config that was chosen for a client; nil keeps the engine's own.
func (e *Engine) configured(q *handshake.Configure, cfg *Config, err error) {
	if err != nil {
		q.Err = callbackError(alert.InternalError, err)
		return
	}
	if cfg == nil {
		return
	}
	c, err := cfg.plan()
	if err != nil {
		q.Err = alert.Wrap(alert.InternalError, errBadConfig, err)
		return
	}
	e.asked, e.plan = e.plan, c
	q.Params = &c.server
}

// callbackError is a failure of a callback: with the alert that it chose, if it returned an
// *AlertError. One without an alert has that of close_notify, which would tell the peer of an
// orderly end.
func callbackError(otherwise alert.Description, err error) error {
	var chosen *AlertError
	if errors.As(err, &chosen) && chosen.Alert != AlertCloseNotify {
		otherwise = alert.Description(chosen.Alert)
	}
	return alert.Wrap(otherwise, errCallback, err)
}

// choose picks the certificate to send.
func (e *Engine) choose(q *handshake.Choose) Pending {
	if e.plan.cfg.asks(AsyncChoose) {
		r := &ChooseRequest{question: question{e}}
		if e.mode.IsServer() {
			r.ClientHello = newClientHello(e, q.Hello, &q.Criteria)
		} else {
			r.CertificateRequest = newCertificateRequest(e, q)
		}
		return r
	}
	cert, asked, err := e.certificate(q)
	switch {
	case err != nil:
		q.Err = callbackError(alert.InternalError, err)
	case asked:
		e.chosen(q, cert)
	default:
		e.chooseOwn(q)
	}
	return nil
}

// certificate asks the callbacks; asked is false when the choice is left to
// Certificates.
func (e *Engine) certificate(q *handshake.Choose) (cert *tls.Certificate, asked bool, err error) {
	cfg := e.plan.cfg
	switch {
	case e.mode.IsServer() && cfg.GetCertificate != nil:
		cert, err = cfg.GetCertificate(newClientHello(e, q.Hello, &q.Criteria))
		if err == error(errNoCertificates) && len(cfg.Certificates) > 0 {
			err = nil // they were set after FromTLS
		}
		return cert, cert != nil, err
	case !e.mode.IsServer() && cfg.GetClientCertificate != nil:
		cert, err = cfg.GetClientCertificate(newCertificateRequest(e, q))
		return cert, true, err
	}
	return nil, false, nil
}

// chosen uses the certificate from a callback or the caller in its current state. The caller may
// change it in place, so the certificate that was prepared last is recognized by its content.
func (e *Engine) chosen(q *handshake.Choose, cert *tls.Certificate) {
	if cert == nil || len(cert.Certificate) == 0 && cert.PrivateKey == nil {
		return // none; a client sends an empty Certificate then
	}
	id, err := e.plan.recent.Prepare(cert)
	if err != nil {
		q.Err = alert.Wrap(alert.InternalError, "the chosen certificate cannot be used", err)
		return
	}
	if q.Scheme, err = id.Fits(&q.Criteria); err != nil {
		q.Err = alert.Wrap(alert.HandshakeFailure, "the chosen certificate does not fit", err)
		return
	}
	q.Identity = id
}

// chooseOwn picks one of Certificates.
func (e *Engine) chooseOwn(q *handshake.Choose) {
	server := e.mode.IsServer()
	own, err := e.plan.own(server)
	if err != nil {
		q.Err = alert.Wrap(alert.InternalError, "cannot make a self-signed certificate", err)
		return
	}
	q.Identity, q.Scheme = pki.Choose(own, &q.Criteria, server)
	if q.Identity == nil && server {
		q.Err = pki.OnlyIn13(own, &q.Criteria)
	}
}

// verify judges the peer: first verifyPeer, then the callback or the caller, which see
// the whole connection.
func (e *Engine) verify(q *handshake.Verify) Pending {
	if q.Peer != nil && !q.Resumed { // a resumed peer was verified by offered (client) or admits (server)
		var err error
		if q.Peer.Verified, err = e.verifyPeer(q.Peer, q.Staples); err != nil {
			q.Err = err
			return nil
		}
	}
	cfg := e.plan.cfg
	if !e.params().AskVerify {
		return nil
	}
	state := e.State()
	if cfg.VerifyConnection != nil {
		if err := cfg.VerifyConnection(state); err != nil {
			q.Err = callbackError(alert.BadCertificate, err)
			return nil
		}
	}
	if cfg.asks(AsyncVerify) {
		return &VerifyRequest{State: state, question: question{e}}
	}
	return nil
}

// verifyPeer performs the verification that the Config requires, for a peer of a
// handshake or of a session.
func (e *Engine) verifyPeer(p *handshake.Peer, staples [][]byte) (chains [][]*x509.Certificate, err error) {
	switch {
	case p == nil:
		return nil, nil
	case e.params().Keys.Check(p.PublicKey()) != nil:
		return nil, e.params().Keys.CheckPeer(p.PublicKey())
	case p.Chain == nil:
		return nil, e.verifyRawKey(p.RawKey)
	}
	if chains, err = e.verifyChain(p.Chain); err != nil {
		return nil, err
	}
	if err := e.checkStaples(p, staples, chains); err != nil {
		return nil, err
	}
	if ask := e.plan.cfg.VerifyPeerCertificate; ask != nil {
		if err := ask(p.Chain.DER(), pki.CloneChains(chains)); err != nil {
			return nil, callbackError(alert.BadCertificate, err)
		}
	}
	return chains, nil
}

func (e *Engine) verifyChain(c *pki.Chain) ([][]*x509.Certificate, error) {
	cfg := e.plan.cfg
	v := pki.Verifier{Now: cfg.now(), Keys: e.params().Keys}
	types := e.params().PeerCertTypes
	switch {
	case len(types) > 0 && !slices.Contains(types, pki.X509):
		return nil, errOnlyRawKeys // of a session that another Config began
	case e.mode.IsServer() && cfg.ClientAuth < tls.VerifyClientCertIfGiven, !e.mode.IsServer() && cfg.InsecureSkipVerify:
		return nil, nil
	case e.mode.IsServer():
		v.Roots, v.Usage = cfg.ClientCAs, x509.ExtKeyUsageClientAuth
	case e.serverName == "" && !e.plan.nameless():
		return nil, errNoName // PSKs or raw public keys were expected
	default:
		v.Roots, v.Usage, v.Name = cfg.RootCAs, x509.ExtKeyUsageServerAuth, e.serverName
	}
	return v.Verify(c)
}

// verifyRawKey looks up a raw public key: RFC 7250, Section 6, leaves trust to
// out-of-band means.
func (e *Engine) verifyRawKey(key crypto.PublicKey) error {
	cfg := e.plan.cfg
	switch {
	case !slices.Contains(e.params().PeerCertTypes, pki.RawPublicKey):
		return errRawKey // of a session that another Config began
	case len(cfg.PeerPublicKeys) == 0:
		return nil // judged by a callback, see plan.judgesRawKeys
	}
	for _, known := range cfg.PeerPublicKeys {
		if pki.SameKey(key, known) {
			return nil
		}
	}
	return errRawKey
}
