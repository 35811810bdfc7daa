package interop

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	dtls3 "github.com/pion/dtls/v3"
	"github.com/pion/dtls/v4"
)

// pionSessions is pion/dtls v3: sessions by their ids, and PSKs.
type pionSessions struct{ pion }

func (pionSessions) speaks(stream bool, version uint16) bool {
	return !stream && version == tls.VersionTLS12
}

func (pionSessions) cannot(c sessionCell, server bool) string { return pionCannot(c) }

// pionCannot is what both versions lack in DTLS 1.2.
func pionCannot(c sessionCell) string {
	switch {
	case !c.psk && !c.ids:
		return "its sessions have ids, not tickets"
	case slices.Contains([]uint16{0x00a9, 0xc0a5, 0xd001, 0xd002, 0xd003, 0xd005}, c.suite):
		return "no such cipher suite"
	}
	return ""
}

// forPion names a cipher suite with a PSK, of which pion/dtls 1.2 has none by
// default.
func (c sessionCell) forPion() datagramCell {
	if c.psk && c.suite == 0 && c.version == tls.VersionTLS12 {
		c.suite = 0x00a8
	}
	return c.datagramCell
}

func (pionSessions) words(_ sessionCell, server bool) words { return pionWords(server) }

// pionWords: a client does not learn which identity it has sent.
func pionWords(server bool) words {
	w := words{resumed: resumedWord}
	if server {
		w.psk = pskWord
	}
	return w
}

// pskWord is what our own peers print.
const pskWord = "PSK of " + identity

var errUnknownIdentity = errors.New("unknown identity")

func (pionSessions) serve(t *testing.T, c sessionCell, f files, port int) *speaker {
	cert, pool, options := pion{}.options(t, c.forPion(), f)
	list := []dtls3.ServerOption{dtls3.WithInsecureSkipVerifyHello(true), dtls3.WithSessionStore(&store3{})}
	if c.psk {
		list = append(list, dtls3.WithPSK(func(name []byte) ([]byte, error) {
			if string(name) != identity {
				return nil, errUnknownIdentity
			}
			return sharedKey, nil
		}))
	} else {
		list = append(list, dtls3.WithCertificates(cert))
	}
	if c.mutual {
		list = append(list, dtls3.WithClientAuth(dtls3.RequireAndVerifyClientCert), dtls3.WithClientCAs(pool))
	}
	for _, o := range options {
		list = append(list, o)
	}
	l, err := dtls3.ListenWithOptions("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}, list...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &process{}
	p.met = p.met3()
	go func() {
		for p.echo(t, accepted(l)) {
		}
	}()
	return &speaker{process: p, echoes: true}
}

func (pionSessions) connect(t *testing.T, c sessionCell, f files, port, n int, _ *speaker) *speaker {
	_, pool, options := pion{}.options(t, c.forPion(), f)
	list := []dtls3.ClientOption{dtls3.WithServerName("localhost")}
	if c.psk {
		list = append(list, dtls3.WithPSK(func([]byte) ([]byte, error) { return sharedKey, nil }), dtls3.WithPSKIdentityHint([]byte(identity)))
	} else {
		list = append(list, dtls3.WithRootCAs(pool))
	}
	for _, o := range options {
		list = append(list, o)
	}
	p := &process{}
	p.met = p.met3()
	socket := listenUDP(t)
	go p.echo(t, func() (handshaker, error) {
		return dtls3.ClientWithOptions(socket, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}, list...)
	})
	return &speaker{process: p, echoes: true}
}

// met3 describes a connection: one with the session ID of the previous one is
// resumed.
func (p *process) met3() func(net.Conn) {
	var before string
	return func(conn net.Conn) {
		s, _ := conn.(*dtls3.Conn).ConnectionState()
		p.describe(string(s.SessionID), &before, string(s.IdentityHint))
	}
}

func (p *process) describe(id string, before *string, name string) {
	if id != "" && id == *before {
		p.write(resumedWord)
	}
	*before = id
	if name != "" {
		p.write("PSK of " + name)
	}
}

// store3 keeps sessions for pion/dtls v3.
type store3 struct{ sync.Map }

func (s *store3) Set(name []byte, session dtls3.Session) error {
	s.Store(string(name), session)
	return nil
}

func (s *store3) Get(name []byte) (dtls3.Session, error) {
	session, _ := s.Load(string(name))
	found, _ := session.(dtls3.Session)
	return found, nil
}

func (s *store3) Del(name []byte) error {
	s.Delete(string(name))
	return nil
}

// pion4Sessions is pion/dtls v4: in DTLS 1.3 tickets, 0-RTT and PSKs.
type pion4Sessions struct{ pion4 }

func (pion4Sessions) speaks(stream bool, _ uint16) bool { return !stream }

func (pion4Sessions) cannot(c sessionCell, server bool) string {
	switch {
	case c.version == tls.VersionTLS12:
		return pionCannot(c)
	case c.mutual:
		return "no tickets with client certificates"
	case c.certs && !server:
		return "it continues without a certificate when its PSK is not known"
	}
	return ""
}

func (pion4Sessions) words(c sessionCell, server bool) words {
	if c.version == tls.VersionTLS12 {
		return pionWords(server)
	}
	if server {
		return words{psk: pskWord}
	}
	return words{early: earlyWord}
}

const earlyWord = "early data is accepted"

// both are the options of both roles.
func (pion4Sessions) both(t *testing.T, c sessionCell, f files, server bool, store *store4) (cert tls.Certificate, list []dtls.Option) {
	cert, pool, list := pion4{}.options(t, c.forPion(), f, server)
	var options []dtls.SessionOption
	if c.early {
		options = append(options, dtls.WithMaxEarlyDataSize(1000))
	}
	list = append(list, dtls.WithSessionStore(store, options...))
	if !server && (!c.psk || c.certs) {
		list = append(list, dtls.WithRootCAs(pool))
	}
	if c.psk {
		own := dtls.PSK{Identity: []byte(identity), Key: sharedKey, Hash: c.hash}
		list = append(list, dtls.WithPSK(func() ([]dtls.PSK, error) { return []dtls.PSK{own}, nil }, func(names [][]byte) (*dtls.PSK, error) {
			for _, name := range names {
				if string(name) == identity {
					return &own, nil
				}
			}
			return nil, nil
		}))
	}
	return cert, list
}

func (p4 pion4Sessions) serverOptions(t *testing.T, c sessionCell, f files, store *store4) []dtls.ServerOption {
	cert, options := p4.both(t, c, f, true, store)
	list := []dtls.ServerOption{dtls.WithInsecureSkipVerifyHello(true)}
	if !c.psk || c.certs {
		list = append(list, dtls.WithCertificates(cert))
	}
	if c.mutual {
		_, pool, _ := pion4{}.options(t, c.forPion(), f, true)
		list = append(list, dtls.WithClientAuth(dtls.RequireAndVerifyClientCert), dtls.WithClientCAs(pool))
	}
	for _, o := range options {
		list = append(list, o)
	}
	return list
}

func (p4 pion4Sessions) clientOptions(t *testing.T, c sessionCell, f files, store *store4) []dtls.ClientOption {
	cert, options := p4.both(t, c, f, false, store)
	list := []dtls.ClientOption{dtls.WithServerName("localhost")}
	if c.mutual {
		list = append(list, dtls.WithCertificates(cert))
	}
	for _, o := range options {
		list = append(list, o)
	}
	return list
}

func (p4 pion4Sessions) serve(t *testing.T, c sessionCell, f files, port int) *speaker {
	p := &process{}
	p.met = p.met4()
	at := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
	list := p4.serverOptions(t, c, f, &store4{})
	if c.early {
		socket, err := net.ListenUDP("udp4", at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { socket.Close() })
		go func() {
			d := detached{process: p, socket: socket}
			for d.first() == nil {
				if conn, err := dtls.DetachedServer(d.peer, list...); err == nil {
					p.write(d.run(t.Context(), conn))
				}
			}
		}()
		return &speaker{process: p, echoes: true}
	}
	l, err := dtls.ListenAddr("udp4", at, list...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for p.echo(t, accepted(l)) {
		}
	}()
	return &speaker{process: p, echoes: true}
}

func (p4 pion4Sessions) connect(t *testing.T, c sessionCell, f files, port, n int, before *speaker) *speaker {
	if n > 0 {
		return before
	}
	p := &process{}
	p.met = p.met4()
	at := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
	list := p4.clientOptions(t, c, f, &store4{})
	var sockets []*net.UDPConn
	for range c.connections() {
		sockets = append(sockets, listenUDP(t))
	}
	go func() {
		for _, socket := range sockets {
			if !c.early {
				p.echo(t, func() (handshaker, error) { return dtls.Client(socket, at, list...) })
				continue
			}
			if conn, err := dtls.DetachedClient(at, list...); err == nil {
				p.write((&detached{process: p, socket: socket, peer: at, early: earlyWords}).run(t.Context(), conn))
			}
		}
	}()
	return &speaker{process: p, echoes: true}
}

func (p *process) met4() func(net.Conn) {
	var before string
	return func(conn net.Conn) {
		s, _ := conn.(*dtls.Conn).ConnectionState()
		p.describe(string(s.SessionID), &before, string(s.IdentityHint))
	}
}

// store4 keeps sessions for pion/dtls v4.
type store4 struct{ sessions, claims sync.Map }

func (s *store4) Set(name []byte, session dtls.Session) error {
	s.sessions.Store(string(name), session)
	return nil
}

func (s *store4) Get(name []byte) (dtls.Session, error) {
	session, _ := s.sessions.Load(string(name))
	found, _ := session.(dtls.Session)
	return found, nil
}

func (s *store4) Del(name []byte) error {
	s.sessions.Delete(string(name))
	return nil
}

// Claim reports whether a ticket has not been used for early data before.
func (s *store4) Claim(ticket []byte, _ time.Time) (bool, error) {
	_, used := s.claims.LoadOrStore(string(ticket), true)
	return !used, nil
}

// detached drives connections of pion/dtls without a socket, as its early data
// requires.
type detached struct {
	*process
	socket  *net.UDPConn
	peer    net.Addr
	pending []byte   // of a new peer of a server
	early   []byte   // a client's early data
	echoes  [][]byte // owed until the handshake is complete
	done    bool
}

// first waits for a server's next client.
func (d *detached) first() error {
	d.socket.SetReadDeadline(time.Time{})
	for buf, before := make([]byte, 1<<14), d.peer; ; {
		n, from, err := d.socket.ReadFromUDP(buf)
		if err != nil {
			return err
		}
		if before == nil || from.String() != before.String() {
			d.peer, d.pending, d.done, d.echoes = from, buf[:n], false, nil
			return nil
		}
	}
}

// run runs until the connection is closed.
func (d *detached) run(ctx context.Context, conn *dtls.DetachedConn) error {
	defer conn.Close()
	if err := conn.Start(ctx); err != nil {
		return err
	}
	buf := make([]byte, 1<<14)
	for {
		if err := d.events(conn); err != nil {
			return err
		}
		n := copy(buf, d.pending)
		if d.pending = nil; n == 0 {
			var err error
			d.socket.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			if n, _, err = d.socket.ReadFromUDP(buf); err != nil {
				var timeout net.Error
				if errors.As(err, &timeout) && timeout.Timeout() {
					continue
				}
				return err
			}
		}
		if err := conn.HandleDatagram(buf[:n], d.peer); err != nil {
			return err
		}
	}
}

// events does what the connection asks for.
func (d *detached) events(conn *dtls.DetachedConn) error {
	for {
		switch e := conn.NextEvent(); e.Kind {
		case dtls.DetachedNoEvent:
			return nil
		case dtls.DetachedWriteDatagrams:
			for _, datagram := range e.Datagrams {
				d.socket.WriteTo(datagram, d.peer)
			}
		case dtls.DetachedApplicationData:
			d.echoes = append(d.echoes, e.Data)
		case dtls.DetachedEarlyDataReady:
			if _, err := conn.WriteEarlyData(d.early); err != nil {
				return err
			}
		case dtls.DetachedEarlyDataAccepted:
			d.write(earlyWord)
		case dtls.DetachedHandshakeDone:
			d.done = true
		case dtls.DetachedClosed:
			return e.Err
		}
		if !d.done {
			continue
		}
		for _, data := range d.echoes {
			if _, err := conn.Write(data); err != nil {
				return err
			}
		}
		d.echoes = nil
	}
}
