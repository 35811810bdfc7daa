package carrier

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/flight"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// keys are those of a direction and an epoch: known to both ends, and to the
// tests.
func keys(version uint16, fromServer bool, epoch uint64) suite.Keys {
	s := suite.ByID(0x1301)
	if version == wire.VersionTLS12 {
		s = suite.ByID(0xc02b)
	}
	key := make([]byte, s.KeyLen)
	key[0], key[1] = byte(epoch), byte(epoch>>8)
	if fromServer {
		key[2] = 1
	}
	return suite.Keys{Suite: s, AEAD: s.AEAD(key), Mask: s.Mask(key), IV: [12]byte{byte(epoch)}}
}

// play is a handshake without cryptography: it sends the messages of a real one
// in their order and size, and checks that the peer's come so too.
type play struct {
	t       *testing.T
	d       *Datagram
	agreed  uint16
	server  bool
	options playOptions
	waiting bool
	then    func() // what goes on after waiting
	got     []string
	exhaust int
	reads   uint64 // epoch of the reading keys
	writes  uint64
}

type playOptions struct {
	version     uint16
	retry       bool // HelloRetryRequest or HelloVerifyRequest
	clientAuth  bool // the client sends a certificate
	certificate int  // bytes
	ticket      bool // DTLS 1.3: the server sends a NewSessionTicket
	slowClient  bool // the client's signature takes a while
	slowServer  bool // so does the server's
	localCID    [2][]byte
	damaged     bool // messages in clear may not be what was sent
}

// message is what the body of a message is: it depends on who sent it, its type
// and its number.
func message(fromServer bool, typ wire.Type, seq, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i + 3*int(typ) + 5*seq)
	}
	if fromServer && size > 0 {
		b[0]++
	}
	return wire.AppendMessage(nil, typ, b)
}

func (p *play) send(typ wire.Type, size int) {
	seq := p.d.nextSeq
	if got := p.d.Send(message(p.server, typ, seq, size)); int(got) != seq {
		p.t.Errorf("message_seq is %d, want %d", got, seq)
	}
}

func (p *play) installRead(level handshake.Level) error {
	p.reads = max(p.reads+1, uint64(level))
	return p.d.InstallRead(level, keys(p.agreed, !p.server, p.reads))
}

func (p *play) installWrite(level handshake.Level) {
	p.writes = max(p.writes+1, uint64(level))
	p.d.InstallWrite(level, keys(p.agreed, p.server, p.writes))
}

func (p *play) Waiting() bool  { return p.waiting }
func (p *play) KeysExhausted() { p.exhaust++ }

var errPlay = alert.New(alert.HandshakeFailure, "a message that has no place here")

func (p *play) Handle(m wire.Message) error {
	// The client's random is the same in both hellos, the rest need not be.
	if want := message(!p.server, m.Type, int(m.Seq), len(m.Body))[4:]; !bytes.Equal(m.Body, want) && !p.options.damaged {
		p.t.Errorf("%v with number %d is not what was sent", m.Type, m.Seq)
	}
	p.got = append(p.got, m.Type.String())
	switch {
	case p.d.complete:
		return p.later(m)
	case p.options.version == wire.VersionTLS12 && p.server:
		return p.server12(m)
	case p.options.version == wire.VersionTLS12:
		return p.client12(m)
	case p.server:
		return p.server13(m)
	}
	return p.client13(m)
}

func (p *play) start() {
	if !p.server {
		p.send(wire.TypeClientHello, 200)
	}
}

func (p *play) decide(version uint16) {
	p.agreed = version
	p.d.SetVersion(version)
	if p.server {
		p.d.SetCIDs(p.options.localCID[1], p.options.localCID[0])
	} else {
		p.d.SetCIDs(p.options.localCID[0], p.options.localCID[1])
	}
}

// wait asks a question when it is to be slow.
func (p *play) wait(slow bool, then func()) {
	if !slow {
		then()
		return
	}
	p.waiting, p.then = true, then
}

// answer ends the waiting.
func (p *play) answer(now time.Time) error {
	p.waiting = false
	p.then()
	return p.d.Resume(now)
}

func (p *play) server13(m wire.Message) error {
	switch m.Type {
	case wire.TypeClientHello:
		p.decide(wire.VersionTLS13)
		if p.options.retry && m.Seq == 0 {
			p.send(wire.TypeServerHello, 80)
			return nil
		}
		p.send(wire.TypeServerHello, 100)
		p.installWrite(handshake.Handshake)
		if err := p.installRead(handshake.Handshake); err != nil {
			return err
		}
		p.send(wire.TypeEncryptedExtensions, 10)
		p.send(wire.TypeCertificate, p.options.certificate)
		p.wait(p.options.slowServer, func() {
			p.send(wire.TypeCertificateVerify, 80)
			p.send(wire.TypeFinished, 32)
			p.installWrite(handshake.Application)
		})
	case wire.TypeCertificate, wire.TypeCertificateVerify:
	case wire.TypeFinished:
		if err := p.installRead(handshake.Application); err != nil {
			return err
		}
		p.d.Complete()
		if p.options.ticket {
			p.send(wire.TypeNewSessionTicket, 150)
		}
	default:
		return errPlay
	}
	return nil
}

func (p *play) client13(m wire.Message) error {
	switch m.Type {
	case wire.TypeServerHello:
		p.decide(wire.VersionTLS13)
		if p.options.retry && m.Seq == 0 {
			p.send(wire.TypeClientHello, 250)
			return nil
		}
		if err := p.installRead(handshake.Handshake); err != nil {
			return err
		}
		p.installWrite(handshake.Handshake)
	case wire.TypeEncryptedExtensions, wire.TypeCertificate, wire.TypeCertificateVerify:
	case wire.TypeFinished:
		if err := p.installRead(handshake.Application); err != nil {
			return err
		}
		if p.options.clientAuth {
			p.send(wire.TypeCertificate, p.options.certificate)
		}
		p.wait(p.options.slowClient, func() {
			if p.options.clientAuth {
				p.send(wire.TypeCertificateVerify, 80)
			}
			p.send(wire.TypeFinished, 32)
			p.installWrite(handshake.Application)
			p.d.Complete()
		})
	default:
		return errPlay
	}
	return nil
}

func (p *play) server12(m wire.Message) error {
	switch m.Type {
	case wire.TypeClientHello:
		if p.options.retry && m.Seq == 0 {
			p.send(wire.TypeHelloVerifyRequest, 20)
			return nil
		}
		p.decide(wire.VersionTLS12)
		p.send(wire.TypeServerHello, 100)
		p.send(wire.TypeCertificate, p.options.certificate)
		p.wait(p.options.slowServer, func() {
			p.send(wire.TypeServerKeyExchange, 120)
			p.send(wire.TypeServerHelloDone, 0)
		})
	case wire.TypeCertificate:
	case wire.TypeClientKeyExchange:
		if !p.options.clientAuth {
			return p.d.ExpectChangeCipherSpec(keys(p.agreed, false, 1))
		}
	case wire.TypeCertificateVerify:
		return p.d.ExpectChangeCipherSpec(keys(p.agreed, false, 1))
	case wire.TypeFinished:
		p.d.SendChangeCipherSpec(keys(p.agreed, true, 1))
		p.send(wire.TypeFinished, 12)
		p.d.Complete()
	default:
		return errPlay
	}
	return nil
}

func (p *play) client12(m wire.Message) error {
	switch m.Type {
	case wire.TypeHelloVerifyRequest:
		p.send(wire.TypeClientHello, 220)
	case wire.TypeServerHello:
		p.decide(wire.VersionTLS12)
	case wire.TypeCertificate, wire.TypeServerKeyExchange:
	case wire.TypeServerHelloDone:
		if p.options.clientAuth {
			p.send(wire.TypeCertificate, p.options.certificate)
		}
		p.send(wire.TypeClientKeyExchange, 66)
		var err error
		p.wait(p.options.slowClient, func() {
			if p.options.clientAuth {
				p.send(wire.TypeCertificateVerify, 80)
			}
			p.d.SendChangeCipherSpec(keys(p.agreed, false, 1))
			p.send(wire.TypeFinished, 12)
			err = p.d.ExpectChangeCipherSpec(keys(p.agreed, true, 1))
		})
		return err
	case wire.TypeFinished:
		p.d.Complete()
	default:
		return errPlay
	}
	return nil
}

// later handles what comes after the handshake.
func (p *play) later(m wire.Message) error {
	switch m.Type {
	case wire.TypeNewSessionTicket:
	case wire.TypeKeyUpdate:
		return p.installRead(handshake.Application)
	case wire.TypeHelloRequest:
		p.d.SendWarning(alert.NoRenegotiation)
	default:
		return errPlay
	}
	return nil
}

func (p *play) updateKeys() {
	p.writes++
	p.d.SendKeyUpdate(message(p.server, wire.TypeKeyUpdate, p.d.nextSeq, 1), keys(p.agreed, p.server, p.writes))
}

// end is one end of a connection.
type end struct {
	*Datagram
	*play
	name  string
	data  []string
	kinds []Kind
}

// pair is two ends, and a clock.
type pair struct {
	t              *testing.T
	now            time.Time
	client, server *end
}

func newPair(t *testing.T, po playOptions, edit func(client, server *DatagramOptions)) *pair {
	if po.certificate == 0 {
		po.certificate = 700
	}
	client, server := DatagramOptions{}, DatagramOptions{Server: true}
	if edit != nil {
		edit(&client, &server)
	}
	p := &pair{t: t, now: time.Unix(1000, 0)}
	newEnd := func(name string, o DatagramOptions) *end {
		h := &play{t: t, server: o.Server, options: po}
		h.d = NewDatagram(h, o)
		return &end{Datagram: h.d, play: h, name: name}
	}
	p.client, p.server = newEnd("client", client), newEnd("server", server)
	p.client.start()
	return p
}

func (p *pair) peer(e *end) *end {
	if e == p.client {
		return p.server
	}
	return p.client
}

// output is all datagrams that e sends now.
func (p *pair) output(e *end) (datagrams [][]byte) {
	p.t.Helper()
	for e.HasOutput() {
		mtu := e.mtu
		d := e.Output(p.now, nil)
		if len(d) == 0 || len(d) > mtu {
			p.t.Fatalf("the %s sends a datagram of %d bytes, MTU %d", e.name, len(d), mtu)
		}
		datagrams = append(datagrams, d)
		if len(datagrams) > 1000 {
			p.t.Fatalf("the %s does not stop sending", e.name)
		}
	}
	return datagrams
}

// input gives datagrams to e, and returns the first error.
func (p *pair) input(e *end, datagrams ...[]byte) error {
	p.t.Helper()
	for _, d := range datagrams {
		for in := bytes.Clone(d); len(in) > 0; {
			o, err := e.Open(p.now, in)
			if err != nil {
				return err
			}
			if o.N <= 0 || o.N > len(in) {
				p.t.Fatalf("the %s uses %d of %d bytes", e.name, o.N, len(in))
			}
			if o.Kind != None {
				e.data, e.kinds = append(e.data, string(o.Data)), append(e.kinds, o.Kind)
			}
			in = in[o.N:]
		}
	}
	return nil
}

func (p *pair) mustInput(e *end, datagrams ...[]byte) {
	p.t.Helper()
	if err := p.input(e, datagrams...); err != nil {
		p.t.Fatalf("the %s: %v", e.name, err)
	}
}

// settle exchanges datagrams without loss until nobody sends any.
func (p *pair) settle() {
	p.t.Helper()
	for p.client.HasOutput() || p.server.HasOutput() {
		p.mustInput(p.server, p.output(p.client)...)
		p.mustInput(p.client, p.output(p.server)...)
	}
}

// connect completes the handshake, acknowledgements included.
func (p *pair) connect() {
	p.t.Helper()
	p.settle()
	p.passTime(time.Second / 4)
	p.settle()
	for _, e := range []*end{p.client, p.server} {
		if !e.complete || !e.Acknowledged() {
			p.t.Fatalf("the %s is not complete: %v", e.name, e.got)
		}
		if u, ok := e.Deadline(); ok {
			p.t.Fatalf("the %s has a deadline in %v", e.name, u.Sub(p.now))
		}
	}
}

// passTime lets time pass, and whatever is due happen.
func (p *pair) passTime(d time.Duration) {
	p.t.Helper()
	p.now = p.now.Add(d)
	for _, e := range []*end{p.client, p.server} {
		if err := e.Expire(p.now); err != nil {
			p.t.Fatalf("the %s: %v", e.name, err)
		}
	}
}

// seal is a datagram with data from e.
func (p *pair) seal(e *end, data string) []byte {
	p.t.Helper()
	d, err := e.Seal(p.now, nil, []byte(data))
	if err != nil {
		p.t.Fatalf("the %s: %v", e.name, err)
	}
	return d
}

// wantDeadline checks when e must be woken: negative stands for never.
func (p *pair) wantDeadline(why string, e *end, want time.Duration) {
	p.t.Helper()
	u, ok := e.Deadline()
	switch {
	case ok != (want >= 0):
		p.t.Errorf("%s: the %s has a deadline: %v", why, e.name, ok)
	case ok && u.Sub(p.now) != want:
		p.t.Errorf("%s: the %s's deadline is in %v, want %v", why, e.name, u.Sub(p.now), want)
	}
}

// want checks what is in datagrams from e: for each a string such as
// "0:ServerHello 2:EncryptedExtensions,Certificate[0-300]".
func (p *pair) want(why string, e *end, datagrams [][]byte, want ...string) {
	p.t.Helper()
	var got []string
	for _, d := range datagrams {
		got = append(got, p.describe(e, d))
	}
	if !slices.Equal(got, want) {
		p.t.Errorf("%s: the %s sends\n\t%s\nwant\n\t%s", why, e.name, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func (p *pair) describe(e *end, d []byte) string {
	var records []string
	peer := p.peer(e)
	for in := bytes.Clone(d); len(in) > 0; {
		n, epoch, typ, content, err := decode(e.version, e.Server(), peer.cidLen(), peer.localCIDs, in)
		if err != nil {
			p.t.Fatalf("a record that the %s sends: %v", e.name, err)
		}
		records = append(records, fmt.Sprintf("%d:%s", epoch, describeContent(typ, content)))
		in = in[n:]
	}
	return strings.Join(records, " ")
}

func (e *end) Server() bool { return e.server }

// decode opens a record with the keys that the tests know.
func decode(version uint16, fromServer bool, cidLen int, cids [][]byte, in []byte) (n int, epoch uint64, typ record.ContentType, content []byte, err error) {
	if record.IsUnified(in[0]) {
		u, n, ok := record.ParseUnified(in, cidLen)
		if !ok {
			return 0, 0, 0, nil, errors.New("a unified header does not parse")
		}
		for epoch = 2; epoch < 10; epoch++ {
			if uint8(epoch&3) != u.EpochBits {
				continue
			}
			probe := bytes.Clone(in[:n])
			u, _, _ := record.ParseUnified(probe, cidLen)
			if _, typ, content, err = record.NewEpoch13(epoch, keys(version, fromServer, epoch), nil).Open(&u); err == nil {
				return n, epoch, typ, content, nil
			}
		}
		return 0, 0, 0, nil, err
	}
	c, n, ok := record.ParseClassic(in, cidLen)
	if !ok {
		return 0, 0, 0, nil, errors.New("a header does not parse")
	}
	var e record.Epoch12
	r := &e
	if c.Number.Epoch > 0 {
		var cid []byte
		if len(cids) > 0 {
			cid = cids[0]
		}
		r = record.NewEpoch12(uint16(c.Number.Epoch), keys(version, fromServer, c.Number.Epoch), cid)
	}
	typ, content, err = r.Open(&c)
	return n, c.Number.Epoch, typ, content, err
}

func describeContent(typ record.ContentType, content []byte) string {
	switch typ {
	case record.ChangeCipherSpec:
		return "CCS"
	case record.Alert:
		return fmt.Sprintf("alert(%d,%v)", content[0], alert.Description(content[1]))
	case record.ApplicationData:
		return fmt.Sprintf("%q", content)
	case record.ACK:
		ack, ok := flight.ParseACK(content)
		if !ok {
			return "bad ACK"
		}
		var numbers []string
		for i := range ack.Len() {
			numbers = append(numbers, fmt.Sprintf("%d.%d", ack.At(i).Epoch, ack.At(i).Sequence))
		}
		return "ACK[" + strings.Join(numbers, " ") + "]"
	}
	var parts []string
	for b := content; len(b) > 0; {
		var h wire.FragmentHeader
		_, rest, ok := h.Parse(b)
		if !ok {
			return "bad fragment"
		}
		b = rest
		s := h.Type.String()
		if h.FragmentLength < h.Length {
			s += fmt.Sprintf("[%d-%d]", h.Offset, h.Offset+h.FragmentLength)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ",")
}

// reseal puts content into a record of e's epoch with a number of its own, as a
// peer that breaks the rules would.
func (p *pair) reseal(e *end, epoch uint64, typ record.ContentType, content []byte) []byte {
	p.t.Helper()
	var s record.Sealer
	switch {
	case epoch == 0:
		clear := &record.Epoch12{Version: wire.VersionDTLS12}
		clear.StartAt(100)
		s = clear
	case e.version == wire.VersionTLS12:
		protected := record.NewEpoch12(uint16(epoch), keys(e.version, e.Server(), epoch), nil)
		protected.StartAt(100)
		s = protected
	default:
		s = record.NewEpoch13(epoch, keys(e.version, e.Server(), epoch), nil)
		for range 200 {
			if _, err := s.Seal(nil, typ, nil); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	d, err := s.Seal(nil, typ, content)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

// fragment is a piece of a message as it stands in a record.
func fragment(fromServer bool, typ wire.Type, seq, size, from, to int) []byte {
	h := wire.FragmentHeader{Type: typ, Length: size, Seq: uint16(seq), Offset: from, FragmentLength: to - from}
	return append(h.Append(nil), message(fromServer, typ, seq, size)[4+from:4+to]...)
}

// versions runs a test for both.
func versions(t *testing.T, test func(t *testing.T, version uint16)) {
	t.Run("DTLS 1.2", func(t *testing.T) { test(t, wire.VersionTLS12) })
	t.Run("DTLS 1.3", func(t *testing.T) { test(t, wire.VersionTLS13) })
}

func TestHandshakeFlights(t *testing.T) {
	t.Run("DTLS 1.3", func(t *testing.T) {
		p := newPair(t, playOptions{version: wire.VersionTLS13, retry: true, clientAuth: true, ticket: true}, nil)
		c, s := p.client, p.server
		out := p.output(c)
		p.want("first hello", c, out, "0:ClientHello")
		if out[0][1] != 0xfe || out[0][2] != 0xff {
			t.Errorf("the first hello's record says %x, want feff", out[0][1:3])
		}
		p.mustInput(s, out...)
		out = p.output(s)
		p.want("retry", s, out, "0:ServerHello")
		p.mustInput(c, out...)
		out = p.output(c)
		p.want("second hello", c, out, "0:ClientHello")
		if out[0][1] != 0xfe || out[0][2] != 0xfd {
			t.Errorf("the second hello's record says %x, want fefd", out[0][1:3])
		}
		p.mustInput(s, out...)
		out = p.output(s)
		p.want("server's flight", s, out, "0:ServerHello 2:EncryptedExtensions,Certificate,CertificateVerify,Finished")
		p.mustInput(c, out...)
		if !c.complete || c.Acknowledged() {
			t.Errorf("the client is complete: %v, acknowledged: %v", c.complete, c.Acknowledged())
		}
		out = p.output(c)
		p.want("client's flight", c, out, "2:Certificate,CertificateVerify,Finished")
		p.mustInput(s, out...)
		out = p.output(s)
		p.want("ACK and ticket", s, out, "3:ACK[2.0] 3:NewSessionTicket")
		p.mustInput(c, out...)
		if !c.Acknowledged() {
			t.Error("the client's Finished is not acknowledged")
		}
		p.wantDeadline("the ticket is to be acknowledged", c, time.Second/4)
		p.passTime(time.Second / 4)
		out = p.output(c)
		p.want("ACK of the ticket", c, out, "3:ACK[3.1]")
		p.mustInput(s, out...)
		p.wantDeadline("all is acknowledged", s, -1)
		p.wantDeadline("all is acknowledged", c, -1)
	})
	t.Run("DTLS 1.2", func(t *testing.T) {
		p := newPair(t, playOptions{version: wire.VersionTLS12, retry: true, clientAuth: true}, nil)
		c, s := p.client, p.server
		p.mustInput(s, p.output(c)...)
		p.mustInput(c, p.output(s)...)
		p.mustInput(s, p.output(c)...)
		out := p.output(s)
		p.want("server's flight", s, out, "0:ServerHello 0:Certificate 0:ServerKeyExchange 0:ServerHelloDone")
		p.mustInput(c, out...)
		out = p.output(c)
		p.want("client's flight", c, out, "0:Certificate 0:ClientKeyExchange 0:CertificateVerify 0:CCS 1:Finished")
		p.wantDeadline("it waits for the Finished", c, time.Second)
		p.mustInput(s, out...)
		out = p.output(s)
		p.want("server's Finished", s, out, "0:CCS 1:Finished")
		p.wantDeadline("nobody will answer it", s, -1)
		p.mustInput(c, out...)
		p.wantDeadline("all is done", c, -1)
		if !c.complete || !s.complete || !c.Acknowledged() || !s.Acknowledged() {
			t.Error("not complete")
		}
	})
}

func TestApplicationData(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		p := newPair(t, playOptions{version: version}, nil)
		if _, err := p.client.Seal(p.now, nil, nil); err != ErrNotReady {
			t.Errorf("before the handshake: got error %v, want %v", err, ErrNotReady)
		}
		p.connect()
		for i, e := range []*end{p.client, p.server} {
			first, second, third := p.seal(e, "first"), p.seal(e, ""), p.seal(e, strings.Repeat("x", record.MaxPlaintext))
			peer := p.peer(e)
			p.mustInput(peer, third, first, second, first, third, append(p.seal(e, "a"), p.seal(e, "b")...))
			want := []string{strings.Repeat("x", record.MaxPlaintext), "first", "", "a", "b"}
			if !reflect.DeepEqual(peer.data, want) {
				t.Errorf("end %d: the peer got %.50q", i, peer.data)
			}
			if peer.Dropped() != 2 {
				t.Errorf("end %d: %d records were dropped, want the 2 duplicates", i, peer.Dropped())
			}
		}
		dst := []byte("kept")
		if got, err := p.client.Seal(p.now, dst, make([]byte, record.MaxPlaintext+1)); err != ErrDataSize || string(got) != "kept" {
			t.Errorf("too much data: got %q, error %v", got, err)
		}
	})
}

func TestBoundData(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, func(client, _ *DatagramOptions) { client.BoundData = true })
	p.connect()
	n := p.client.MaxData()
	if d := p.seal(p.client, strings.Repeat("x", n)); len(d) != DefaultMTU {
		t.Errorf("the largest datagram has %d bytes, want %d", len(d), DefaultMTU)
	}
	if _, err := p.client.Seal(p.now, nil, make([]byte, n+1)); err != ErrDataSize {
		t.Errorf("got error %v, want %v", err, ErrDataSize)
	}
}

func TestHelloRoom(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.client.flight.Clear()
	p.client.send(wire.TypeClientHello, p.client.HelloRoom()-4)
	if out := p.output(p.client); len(out) != 1 || len(out[0]) != DefaultMTU {
		t.Errorf("the largest hello takes %d datagrams", len(out))
	}
}

// TestSmallDatagrams completes handshakes at any MTU.
func TestSmallDatagrams(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		for mtu := 100; mtu < 1500; mtu += 97 {
			p := newPair(t, playOptions{version: version, retry: true, clientAuth: true, certificate: 5000, ticket: true}, func(client, server *DatagramOptions) {
				client.MTU, server.MTU = mtu, mtu
			})
			p.settle()
			p.passTime(time.Second / 4)
			p.settle()
			if !p.client.complete || !p.server.complete {
				t.Errorf("MTU %d: not complete", mtu)
			}
		}
	})
}

func TestRetransmission(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		p := newPair(t, playOptions{version: version}, nil)
		c, s := p.client, p.server
		p.output(c) // lost
		for _, wait := range []time.Duration{1e9, 2e9, 4e9} {
			p.wantDeadline("the hello is lost", c, wait)
			p.passTime(wait - 1)
			p.want("it is early", c, p.output(c))
			p.passTime(1)
			out := p.output(c)
			p.want("the hello again", c, out, "0:ClientHello")
			if wait == 4e9 {
				p.mustInput(s, out...)
			}
		}
		lost := p.output(s)
		p.wantDeadline("the server's flight is lost", s, time.Second)
		p.passTime(time.Second)
		out := p.output(s)
		if len(out) != len(lost) {
			t.Errorf("%d datagrams again, want %d", len(out), len(lost))
		}
		p.mustInput(c, out...)
		p.mustInput(c, lost...) // the late ones do nothing
		p.settle()
		if !c.complete || !s.complete {
			t.Error("not complete")
		}
	})
}

func TestGivingUp(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		for _, test := range []struct {
			name     string
			options  func(*DatagramOptions)
			schedule []time.Duration
		}{
			{"by default", nil, []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 32e9, 60e9}},
			{"with other values", func(o *DatagramOptions) {
				o.InitialTimeout, o.MaxTimeout, o.Timeouts = 400*time.Millisecond, time.Second, 4
			}, []time.Duration{4e8, 8e8, 1e9, 1e9}},
		} {
			t.Run(test.name, func(t *testing.T) {
				p := newPair(t, playOptions{version: version}, func(client, server *DatagramOptions) {
					if test.options != nil {
						test.options(client)
						test.options(server)
					}
				})
				p.mustInput(p.server, p.output(p.client)...)
				for _, e := range []*end{p.client, p.server} {
					p.output(e)
					for i, wait := range test.schedule {
						p.wantDeadline("nobody answers", e, wait)
						p.now = p.now.Add(wait)
						err := e.Expire(p.now)
						if last := i == len(test.schedule)-1; last != (err == ErrTimeout) {
							t.Fatalf("the %s: expiry %d: error %v", e.name, i, err)
						}
						p.output(e)
					}
				}
			})
		}
	})
}

// TestPatience: a peer that stops in the middle of its flight is not waited for
// forever, though there is nothing to send again.
func TestPatience(t *testing.T) {
	for _, test := range []struct {
		name     string
		patience time.Duration
		want     time.Duration
	}{
		{"by default", 0, 123 * time.Second},
		{"configured", 10 * time.Second, 10 * time.Second},
		{"without end", -1, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPair(t, playOptions{version: wire.VersionTLS13, certificate: 3000}, func(client, _ *DatagramOptions) { client.Patience = test.patience })
			p.mustInput(p.server, p.output(p.client)...)
			p.mustInput(p.client, p.output(p.server)[:2]...)
			p.wantDeadline("first an ACK", p.client, time.Second/4)
			p.passTime(time.Second / 4)
			p.want("ACK", p.client, p.output(p.client), "2:ACK[0.0 2.0 2.1]")
			if test.want < 0 {
				p.wantDeadline("nothing is due", p.client, -1)
				return
			}
			left := test.want - time.Second/4
			p.wantDeadline("the rest does not come", p.client, left)
			p.now = p.now.Add(left)
			if err := p.client.Expire(p.now); err != ErrTimeout {
				t.Errorf("got error %v, want %v", err, ErrTimeout)
			}
		})
	}
	t.Run("a server with half a hello", func(t *testing.T) {
		p := newPair(t, playOptions{version: wire.VersionTLS12}, nil)
		p.mustInput(p.server, p.reseal(p.client, 0, record.Handshake, fragment(false, wire.TypeClientHello, 0, 200, 0, 100)))
		p.wantDeadline("the rest does not come", p.server, 123*time.Second)
	})
}

func TestSetTimeout(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.output(p.client)
	p.client.SetTimeout(400 * time.Millisecond)
	p.wantDeadline("shorter", p.client, 400*time.Millisecond)
	p.passTime(400 * time.Millisecond)
	p.output(p.client)
	p.client.SetTimeout(time.Second)
	p.wantDeadline("longer, and once expired", p.client, 2*time.Second)
}

func TestLoweringMTU(t *testing.T) {
	for _, keep := range []bool{false, true} {
		p := newPair(t, playOptions{version: wire.VersionTLS13, certificate: 3000}, func(_, server *DatagramOptions) { server.KeepMTU = keep })
		p.mustInput(p.server, p.output(p.client)...)
		var got []int
		for _, wait := range []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 32e9} {
			largest := 0
			for _, d := range p.output(p.server) {
				largest = max(largest, len(d))
			}
			got = append(got, largest)
			p.now = p.now.Add(wait)
			if err := p.server.Expire(p.now); err != nil {
				t.Fatal(err)
			}
		}
		want := []int{1200, 1200, 600, 600, 300, 300}
		if keep {
			want = []int{1200, 1200, 1200, 1200, 1200, 1200}
		}
		if !slices.Equal(got, want) {
			t.Errorf("keep is %v: the largest datagrams are %v, want %v", keep, got, want)
		}
		p.mustInput(p.client, p.output(p.server)...)
		p.settle()
		if !p.client.complete || !p.server.complete {
			t.Error("not complete")
		}
	}
}

// TestFinalFlight12: whoever sends the last flight of DTLS 1.2 answers the
// peer's, when that comes again.
func TestFinalFlight12(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS12}, nil)
	c, s := p.client, p.server
	p.mustInput(s, p.output(c)...)
	p.mustInput(c, p.output(s)...)
	p.mustInput(s, p.output(c)...)
	p.output(s) // the Finished is lost
	p.mustInput(c, p.seal(s, "early"))
	if len(c.data) != 0 {
		t.Error("data comes before the Finished")
	}
	for _, wait := range []time.Duration{1e9, 2e9} {
		p.passTime(wait)
		again := p.output(c)
		p.want("the client's flight again", c, again, "0:ClientKeyExchange 0:CCS 1:Finished")
		p.mustInput(s, again...)
		out := p.output(s)
		p.want("the server's again", s, out, "0:CCS 1:Finished")
		if wait == 2e9 {
			p.mustInput(c, out...)
		}
	}
	if !c.complete {
		t.Fatal("the client is not complete")
	}
	p.want("nothing answers the last one", c, p.output(c))
	p.now = p.now.Add(twiceMSL + 1)
	p.mustInput(s, p.reseal(c, 1, record.Handshake, fragment(false, wire.TypeFinished, 2, 12, 0, 12)))
	p.want("not after a while", s, p.output(s))
}

// TestStrayFinished12: whoever did not send the last flight has nothing to
// answer with.
func TestStrayFinished12(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS12}, nil)
	p.connect()
	p.mustInput(p.client, p.reseal(p.server, 1, record.Handshake, fragment(true, wire.TypeFinished, 4, 12, 0, 12)))
	p.want("it has been answered", p.client, p.output(p.client))
}

// TestFinalFlight13: the client's Finished is sent until it is acknowledged,
// and acknowledged each time that it comes, for a while.
func TestFinalFlight13(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	c, s := p.client, p.server
	p.mustInput(s, p.output(c)...)
	p.mustInput(c, p.output(s)...)
	p.output(c) // the Finished is lost
	p.passTime(time.Second)
	out := p.output(c)
	p.want("the Finished again", c, out, "2:Finished")
	p.mustInput(s, out...)
	p.want("its ACK, which is lost", s, p.output(s), "3:ACK[2.1]")
	p.mustInput(s, p.seal(c, "data"))
	p.passTime(2 * time.Second)
	out = p.output(c)
	p.want("the Finished once more", c, out, "2:Finished")
	p.mustInput(s, out...)
	p.passTime(time.Second / 4)
	out = p.output(s)
	p.want("the ACK again", s, out, "3:ACK[2.1 2.2]")
	p.mustInput(c, out...)
	if !c.Acknowledged() {
		t.Error("the Finished is not acknowledged")
	}
	p.now = p.now.Add(twiceMSL + 1)
	p.mustInput(s, p.reseal(c, 2, record.Handshake, fragment(false, wire.TypeFinished, 1, 32, 0, 32)))
	p.wantDeadline("the handshake's keys are gone", s, -1)
}

func TestUnacknowledgedTicket(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13, ticket: true}, nil)
	p.settle()
	for _, wait := range []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 32e9} {
		p.wantDeadline("the ticket is not acknowledged", p.server, wait)
		p.now = p.now.Add(wait)
		if err := p.server.Expire(p.now); err != nil {
			t.Fatal(err)
		}
		p.want("the ticket again", p.server, p.output(p.server), "3:NewSessionTicket")
	}
	p.now = p.now.Add(time.Minute)
	if err := p.server.Expire(p.now); err != ErrTimeout {
		t.Errorf("got error %v, want %v", err, ErrTimeout)
	}
}

// TestPartialACK: what has been acknowledged is not sent again, and what has
// not is sent at once, but not while it may still be on its way.
func TestPartialACK(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13, certificate: 3000}, nil)
	c, s := p.client, p.server
	p.mustInput(s, p.output(c)...)
	out := p.output(s)
	p.want("server's flight", s, out,
		"0:ServerHello 2:EncryptedExtensions,Certificate[0-1019]",
		"2:Certificate[1019-2185]",
		"2:Certificate[2185-3000],CertificateVerify,Finished")
	p.mustInput(c, out[0], out[2])
	p.passTime(time.Second / 4)
	ack := p.output(c)
	p.want("ACK", c, ack, "2:ACK[0.0 2.0 2.2]")
	p.mustInput(s, ack...)
	again := p.output(s)
	p.want("only what is missing", s, again, "2:Certificate[1019-2185]")
	p.wantDeadline("the timer starts again", s, time.Second)
	p.mustInput(s, ack...) // a duplicate
	p.want("it may still be on its way", s, p.output(s))
	p.mustInput(c, again...)
	p.settle()
	if !c.complete || !s.complete {
		t.Error("not complete")
	}
}

// TestFullACK: a flight that is acknowledged as a whole is not sent again.
func TestFullACK(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13, clientAuth: true, slowClient: true}, nil)
	c, s := p.client, p.server
	p.mustInput(s, p.output(c)...)
	p.mustInput(c, p.output(s)...)
	if !c.Waiting() {
		t.Fatal("the client does not wait for its signature")
	}
	if _, err := c.Open(p.now, make([]byte, 20)); err != ErrPending {
		t.Errorf("got error %v, want %v", err, ErrPending)
	}
	p.want("the flight is not whole", c, p.output(c))
	p.wantDeadline("the answer takes a while: an ACK is due", c, time.Second/4)
	p.passTime(time.Second / 4)
	ack := p.output(c)
	p.want("ACK", c, ack, "2:ACK[0.0 2.0]")
	p.mustInput(s, ack...)
	p.wantDeadline("the server only waits", s, 123*time.Second)
	p.passTime(100 * time.Second)
	p.want("nothing is sent again", s, p.output(s))
	p.wantDeadline("a question takes what it takes", c, -1)
	if err := c.answer(p.now); err != nil {
		t.Fatal(err)
	}
	p.connect()
}

func TestSlowServer(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		p := newPair(t, playOptions{version: version, slowServer: true, clientAuth: true, slowClient: true}, nil)
		c, s := p.client, p.server
		p.mustInput(s, p.output(c)...)
		p.want("the flight is not whole", s, p.output(s))
		p.wantDeadline("the client has been heard", s, -1)
		if err := s.answer(p.now); err != nil {
			t.Fatal(err)
		}
		p.mustInput(c, p.output(s)...)
		p.now = p.now.Add(time.Hour)
		if err := c.Expire(p.now); err != nil {
			t.Errorf("while a question is open: %v", err)
		}
		p.output(c)
		if err := c.answer(p.now); err != nil {
			t.Fatal(err)
		}
		p.connect()
	})
}

// TestRepeatedFlight: a flight that comes again asks for the answer to it,
// unless the network has just duplicated it.
func TestRepeatedFlight(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		p := newPair(t, playOptions{version: version}, nil)
		c, s := p.client, p.server
		hello := p.output(c)
		p.mustInput(s, hello...)
		first := p.output(s)
		p.mustInput(s, hello...)
		p.want("a duplicate", s, p.output(s))
		p.mustInput(s, p.reseal(c, 0, record.Handshake, fragment(false, wire.TypeClientHello, 0, 200, 0, 200)))
		p.want("it is too early to be sent again", s, p.output(s))
		p.now = p.now.Add(time.Second / 2)
		p.mustInput(s, p.reseal(c, 0, record.Handshake, fragment(false, wire.TypeClientHello, 0, 200, 0, 200)))
		p.want("the number has been seen", s, p.output(s))
		if err := c.Expire(p.now.Add(time.Second / 2)); err != nil {
			t.Fatal(err)
		}
		p.mustInput(s, p.output(c)...)
		again := p.output(s)
		if len(again) != len(first) {
			t.Errorf("%d datagrams answer it, want %d", len(again), len(first))
		}
		p.wantDeadline("the timer starts again", s, time.Second)
		p.mustInput(c, again...)
		p.settle()
	})
}

// TestReorder gives each flight in reverse.
func TestReorder(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		p := newPair(t, playOptions{version: version, retry: true, clientAuth: true, certificate: 3000, ticket: true}, func(client, server *DatagramOptions) {
			client.MTU, server.MTU = 300, 300
		})
		for p.client.HasOutput() || p.server.HasOutput() {
			for _, e := range []*end{p.client, p.server} {
				out := p.output(e)
				slices.Reverse(out)
				p.mustInput(p.peer(e), out...)
			}
		}
		if !p.client.complete || !p.server.complete {
			t.Fatalf("not complete: %v, %v", p.client.got, p.server.got)
		}
		p.passTime(time.Second / 4)
		p.settle()
		if !p.client.Acknowledged() || !p.server.Acknowledged() {
			t.Error("not acknowledged")
		}
	})
}

// TestEarlyIsBounded: what has no keys yet is kept within limits, and by a
// server only when it knows whom for.
func TestEarlyIsBounded(t *testing.T) {
	junk := append([]byte{0x2e, 0, 0, 0x03, 0xe8}, make([]byte, 1000)...)
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.mustInput(p.server, junk)
	if len(p.server.early) != 0 {
		t.Error("a server keeps something of a stranger")
	}
	p.output(p.client)
	for range 1000 {
		p.mustInput(p.client, junk)
	}
	if p.client.earlySize > maxEarly {
		t.Errorf("a client keeps %d bytes", p.client.earlySize)
	}
	if p.client.Dropped() < 900 {
		t.Errorf("only %d are dropped", p.client.Dropped())
	}
	p.passTime(time.Second)
	p.settle()
	if !p.client.complete || p.client.early != nil || p.client.in.Memory != flight.DefaultMemory {
		t.Error("the handshake does not get over it")
	}
}

func TestKeyUpdate(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.connect()
	c, s := p.client, p.server
	for round := range 12 {
		e, peer := c, s
		if round%3 == 2 {
			e, peer = s, c
		}
		epoch := e.write.Next().Epoch
		e.updateKeys()
		if !e.KeyUpdatePending() {
			t.Fatal("no key update is pending")
		}
		out := p.output(e)
		p.mustInput(peer, p.seal(e, "old keys"))
		if e.write.Next().Epoch != epoch {
			t.Fatal("the new keys are in use before the peer has them")
		}
		p.mustInput(peer, out...)
		p.mustInput(peer, p.seal(e, "still"))
		p.passTime(time.Second / 4)
		ack := p.output(peer)
		late := p.seal(e, "late")
		p.mustInput(e, ack...)
		if e.write.Next().Epoch != epoch+1 || e.KeyUpdatePending() {
			t.Fatal("the new keys are not in use")
		}
		p.mustInput(peer, p.seal(e, "new keys"), late)
		if !slices.Equal(peer.data, []string{"old keys", "still", "new keys", "late"}) {
			t.Fatalf("round %d: the %s got %q", round, peer.name, peer.data)
		}
		peer.data = nil
		if len(peer.protocol.(*dtls13).reads) > maxReadEpochs {
			t.Error("too many epochs are kept")
		}
	}
	p.wantDeadline("all is acknowledged", c, -1)
	p.wantDeadline("all is acknowledged", s, -1)
}

// TestKeyUpdateOrder: a KeyUpdate waits until all before it is acknowledged, and
// all behind it waits for it.
func TestKeyUpdateOrder(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.mustInput(p.server, p.output(p.client)...)
	p.mustInput(p.client, p.output(p.server)...)
	c, s := p.client, p.server
	c.updateKeys()
	c.updateKeys()
	c.send(wire.TypeNewSessionTicket, 10) // never mind that clients do not
	finished := p.output(c)
	p.want("only the Finished", c, finished, "2:Finished")
	p.mustInput(s, finished...)
	p.mustInput(c, p.output(s)...)
	for _, want := range []string{"3:KeyUpdate", "4:KeyUpdate", "5:NewSessionTicket"} {
		out := p.output(c)
		p.want("in turn", c, out, want)
		p.mustInput(s, out...)
		p.passTime(time.Second / 4)
		p.mustInput(c, p.output(s)...)
	}
	if !c.Acknowledged() {
		t.Error("not all is acknowledged")
	}
}

func TestKeyUpdateViolations(t *testing.T) {
	update := func(seq int) []byte { return fragment(true, wire.TypeKeyUpdate, seq, 1, 0, 1) }
	ticket := func(seq int) []byte { return fragment(true, wire.TypeNewSessionTicket, seq, 5, 0, 5) }
	for _, test := range []struct {
		name    string
		records [][]byte // content of records of epoch 3
	}{
		{"a message behind it", [][]byte{update(5), ticket(6)}},
		{"a message behind it that came first", [][]byte{ticket(6), update(5)}},
		{"a message behind it in the same record", [][]byte{append(update(5), ticket(6)...)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
			p.connect()
			out := record.NewEpoch13(3, keys(wire.VersionTLS13, true, 3), nil)
			for range 10 {
				out.Seal(nil, record.Handshake, nil)
			}
			var err error
			for _, content := range test.records {
				d, _ := out.Seal(nil, record.Handshake, content)
				err = p.input(p.client, d)
			}
			wantAlert(t, err, alert.UnexpectedMessage)
		})
	}
}

func wantAlert(t *testing.T, err error, want alert.Description) {
	t.Helper()
	var fault *alert.Error
	if !errors.As(err, &fault) || fault.Description != want {
		t.Errorf("got error %v, want alert %v", err, want)
	}
}

func TestExhaustedKeys(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.connect()
	s := *suite.ByID(0x1301)
	s.SealLimit = 4
	k := keys(wire.VersionTLS13, false, 9)
	k.Suite = &s
	p.client.write = record.NewEpoch13(9, k, nil)
	for range 5 {
		p.seal(p.client, "x")
	}
	if p.client.exhaust != 1 {
		t.Errorf("the handler was told %d times, want once", p.client.exhaust)
	}
	_, err := p.client.Seal(p.now, nil, []byte("x"))
	wantAlert(t, err, alert.InternalError)
}

// TestConnectionIDs: RFC 9146 and RFC 9147bis, Section 9.
func TestConnectionIDs(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		for _, test := range []struct {
			name string
			cids [2][]byte // the client's, the server's
		}{
			{"both", [2][]byte{{1, 2, 3}, {9}}},
			{"only the client's", [2][]byte{{1, 2, 3}, nil}},
			{"only the server's", [2][]byte{nil, {4, 5}}},
		} {
			t.Run(test.name, func(t *testing.T) {
				p := newPair(t, playOptions{version: version, localCID: test.cids, retry: true, ticket: true, certificate: 2000}, nil)
				p.mustInput(p.server, p.output(p.client)...)
				p.mustInput(p.client, p.output(p.server)...)
				p.mustInput(p.server, p.output(p.client)...)
				out := p.output(p.server)
				slices.Reverse(out) // what comes before its keys has CIDs too
				p.mustInput(p.client, out...)
				p.connect()
				for i, e := range []*end{p.server, p.client} {
					a, b := p.seal(e, "a"), p.seal(e, "b")
					peer := p.peer(e)
					p.mustInput(peer, b, a)
					want := []Kind{NewPath, Data}
					if len(test.cids[i]) == 0 {
						want = []Kind{Data, Data}
					}
					if !slices.Equal(peer.kinds, want) {
						t.Errorf("to the %s: kinds %v, want %v", peer.name, peer.kinds, want)
					}
					if !bytes.Contains(a[:20], test.cids[i]) {
						t.Errorf("a record to the %s has no CID: %x", peer.name, a[:20])
					}
					wrong := bytes.Clone(p.seal(e, "wrong"))
					if at := bytes.Index(wrong, test.cids[i]); len(test.cids[i]) > 0 && at > 0 {
						wrong[at]++
						p.mustInput(peer, wrong)
						if len(peer.data) != 2 {
							t.Error("a record under another CID is opened")
						}
					}
				}
			})
		}
	})
}

func TestCIDNotNegotiated(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		p := newPair(t, playOptions{version: version}, nil)
		p.connect()
		before := p.server.Dropped()
		d := p.seal(p.client, "x")
		if version == wire.VersionTLS13 {
			d[0] |= 0x10
		} else {
			d[0] = byte(record.TLS12CID)
		}
		p.mustInput(p.server, append(d, p.seal(p.client, "y")...))
		if len(p.server.data) != 0 || p.server.Dropped() != before+1 {
			t.Errorf("got %q, dropped %d", p.server.data, p.server.Dropped()-before)
		}
	})
}

func TestNewCIDs(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13, localCID: [2][]byte{{1}, {2}}}, nil)
	p.connect()
	p.server.AddLocalCID([]byte{7})
	old := p.seal(p.client, "old")
	p.client.SetPeerCID([]byte{7})
	next := p.seal(p.client, "next")
	if next[1] != 7 {
		t.Errorf("the record's CID is %d, want 7", next[1])
	}
	p.mustInput(p.server, next, old)
	if !slices.Equal(p.server.data, []string{"next", "old"}) {
		t.Errorf("the server got %q", p.server.data)
	}
}

// TestUnproved: never more than three times the bytes that have come.
func TestUnproved(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		p := newPair(t, playOptions{version: version, certificate: 2500}, func(_, server *DatagramOptions) { server.Unproved = true })
		c, s := p.client, p.server
		received, sent := 0, 0
		check := func(in, out [][]byte) {
			t.Helper()
			for _, d := range in {
				received += len(d)
			}
			for _, d := range out {
				sent += len(d)
			}
			if !s.proved && sent > 3*received {
				t.Errorf("%d bytes are sent for %d", sent, received)
			}
		}
		for range 20 {
			in := p.output(c)
			p.mustInput(s, in...)
			out := p.output(s)
			check(in, out)
			if s.HasOutput() {
				t.Error("there is output, but none comes")
			}
			p.mustInput(c, out...)
			if c.complete && s.complete {
				break
			}
			p.passTime(time.Second)
			check(nil, p.output(s))
		}
		if !c.complete || !s.complete || !s.proved {
			t.Errorf("complete: %v, %v; proved: %v", c.complete, s.complete, s.proved)
		}
	})
}

func TestUnprovedHalfRTT(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13, certificate: 100}, func(_, server *DatagramOptions) { server.Unproved = true })
	p.mustInput(p.server, p.output(p.client)...)
	p.output(p.server)
	if _, err := p.server.Seal(p.now, nil, make([]byte, 1000)); err != ErrNotReady {
		t.Errorf("got error %v, want %v", err, ErrNotReady)
	}
	p.server.Proved()
	if _, err := p.server.Seal(p.now, nil, make([]byte, 1000)); err != nil {
		t.Error(err)
	}
}

// TestStateless: a server whose first answer kept no state goes on with the
// second hello's numbers.
func TestStateless(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		p := newPair(t, playOptions{version: version, retry: true}, func(_, server *DatagramOptions) { server.FirstMessage = 1 })
		c, s := p.client, p.server
		first := p.output(c)
		p.mustInput(s, first...)
		p.want("an old hello", s, p.output(s))
		typ := wire.TypeServerHello
		if version == wire.VersionTLS12 {
			typ = wire.TypeHelloVerifyRequest
		}
		answer, _ := new(record.Epoch12).Seal(nil, record.Handshake, fragment(true, typ, 0, 50, 0, 50))
		p.mustInput(c, answer)
		second := p.output(c)
		p.mustInput(s, second...)
		out := p.output(s)
		if got, want := out[0][3:11], second[0][3:11]; !bytes.Equal(got, want) {
			t.Errorf("the server begins with record number %x, want %x", got, want)
		}
		p.mustInput(c, out...)
		p.connect()
	})
}

func TestAlerts(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		t.Run("close_notify", func(t *testing.T) {
			p := newPair(t, playOptions{version: version}, nil)
			p.connect()
			before := p.seal(p.client, "before")
			p.client.SendAlert(alert.CloseNotify)
			out := p.output(p.client)
			if len(out) != 1 {
				t.Fatalf("%d datagrams", len(out))
			}
			if err := p.input(p.server, out...); err != ErrClosed {
				t.Fatalf("got error %v, want %v", err, ErrClosed)
			}
			p.mustInput(p.server, before)
			if !slices.Equal(p.server.data, []string{"before"}) {
				t.Errorf("data that was overtaken: got %q", p.server.data)
			}
			if err := p.input(p.server, p.seal(p.client, "behind")); err != ErrClosed || len(p.server.data) != 1 {
				t.Errorf("data behind it: got %q, error %v", p.server.data, err)
			}
		})
		t.Run("fatal, under the keys of now", func(t *testing.T) {
			p := newPair(t, playOptions{version: version}, nil)
			p.connect()
			p.server.send(wire.TypeNewSessionTicket, 10)
			p.server.SendAlert(alert.InternalError)
			out := p.output(p.server)
			epoch := 1
			if version == wire.VersionTLS13 {
				epoch = 3
			}
			p.want("nothing but the alert", p.server, out, fmt.Sprintf("%d:alert(2,internal_error)", epoch))
			var fatal *PeerAlert
			if err := p.input(p.client, out...); !errors.As(err, &fatal) || fatal.Description != alert.InternalError {
				t.Errorf("got error %v", err)
			}
			p.wantDeadline("it is over", p.server, -1)
		})
		t.Run("fatal, in clear, about the hello", func(t *testing.T) {
			p := newPair(t, playOptions{version: version}, nil)
			p.output(p.client)
			p.server.SendAlert(alert.ProtocolVersion)
			var fatal *PeerAlert
			if err := p.input(p.client, p.output(p.server)...); !errors.As(err, &fatal) || fatal.Description != alert.ProtocolVersion {
				t.Errorf("got error %v", err)
			}
		})
		t.Run("in clear, when there are keys", func(t *testing.T) {
			p := newPair(t, playOptions{version: version}, nil)
			p.connect()
			for _, e := range []*end{p.client, p.server} {
				p.mustInput(e, p.reseal(p.peer(e), 0, record.Alert, []byte{2, 40}))
			}
		})
		t.Run("a warning in clear", func(t *testing.T) {
			p := newPair(t, playOptions{version: version}, nil)
			p.mustInput(p.client, p.reseal(p.server, 0, record.Alert, []byte{1, 100}), p.reseal(p.server, 0, record.Alert, []byte{7, 7, 7}))
		})
	})
}

// TestFaults: under keys a fault is fatal; in clear it is dropped, unless Strict.
func TestFaults(t *testing.T) {
	hello := func(size, from, to int) []byte {
		return fragment(true, wire.TypeServerHello, 0, size, from, to)
	}
	certificate := func(from, to int) []byte { return fragment(true, wire.TypeCertificate, 2, 700, from, to) }
	huge := wire.FragmentHeader{Type: wire.TypeCertificate, Length: 1<<24 - 1, Seq: 2, FragmentLength: 1}
	for _, test := range []struct {
		name  string
		epoch uint64 // 2: after the server's flight but for its end
		typ   record.ContentType
		in    [][]byte
		want  alert.Description
	}{
		{"half a fragment header", 0, record.Handshake, [][]byte{{2, 0, 0}}, alert.DecodeError},
		{"half a fragment header", 2, record.Handshake, [][]byte{{2, 0, 0}}, alert.DecodeError},
		{"an empty handshake record", 0, record.Handshake, [][]byte{{}}, alert.UnexpectedMessage},
		{"an empty handshake record", 2, record.Handshake, [][]byte{{}}, alert.UnexpectedMessage},
		{"fragments of two lengths", 0, record.Handshake, [][]byte{hello(100, 0, 50), hello(101, 50, 101)}, alert.IllegalParameter},
		{"fragments of two lengths", 2, record.Handshake, [][]byte{certificate(0, 10), fragment(true, wire.TypeCertificate, 2, 701, 10, 20)}, alert.IllegalParameter},
		{"a message of 16 MB", 2, record.Handshake, [][]byte{append(huge.Append(nil), 0)}, alert.IllegalParameter},
		{"application data", 0, record.ApplicationData, [][]byte{{1}}, alert.UnexpectedMessage},
		{"application data", 2, record.ApplicationData, [][]byte{{1}}, alert.UnexpectedMessage},
		{"a ChangeCipherSpec in DTLS 1.3", 2, record.ChangeCipherSpec, [][]byte{{1}}, alert.UnexpectedMessage},
		{"an unknown type", 2, 42, [][]byte{{1}}, alert.UnexpectedMessage},
		{"an alert of three bytes", 0, record.Alert, [][]byte{{2, 40, 1}}, alert.DecodeError},
		{"an alert of three bytes", 2, record.Alert, [][]byte{{2, 40, 1}}, alert.DecodeError},
		{"an alert of level 3", 2, record.Alert, [][]byte{{3, 40}}, alert.IllegalParameter},
		{"an ACK cut short", 2, record.ACK, [][]byte{{0, 16, 1}}, alert.DecodeError},
		{"an ACK of a later epoch", 2, record.ACK, [][]byte{append([]byte{0, 16, 0, 0, 0, 0, 0, 0, 0, 3}, make([]byte, 8)...)}, alert.IllegalParameter},
	} {
		for _, strict := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, epoch %d, strict %v", test.name, test.epoch, strict), func(t *testing.T) {
				p := newPair(t, playOptions{version: wire.VersionTLS13}, func(client, _ *DatagramOptions) { client.Strict, client.MTU = strict, 1500 })
				out := p.output(p.client)
				if test.epoch > 0 {
					p.server.SetMTU(150)
					p.mustInput(p.server, out...)
					p.mustInput(p.client, p.output(p.server)[:2]...)
				}
				s := record.Sealer(&record.Epoch12{Version: wire.VersionDTLS12})
				if test.epoch > 0 {
					s = record.NewEpoch13(2, keys(wire.VersionTLS13, true, 2), nil)
				}
				for range 100 {
					s.Seal(nil, record.Handshake, nil)
				}
				var err error
				for _, content := range test.in {
					d, _ := s.Seal(nil, test.typ, content)
					if err = p.input(p.client, d); err != nil {
						break
					}
				}
				if strict || test.epoch > 0 {
					wantAlert(t, err, test.want)
				} else if err != nil {
					t.Errorf("got error %v", err)
				}
			})
		}
	}
}

// TestForgedClear: a forged piece of a message in clear costs a
// retransmission, no more.
func TestForgedClear(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		for _, test := range []struct {
			name  string
			forge []byte
		}{
			{"another length", fragment(true, wire.TypeServerHello, 0, 300, 0, 20)},
			{"other bytes", fragment(false, wire.TypeServerHello, 0, 100, 0, 20)},
			{"of the next message", fragment(false, wire.TypeFinished, 1, 100, 0, 20)},
			{"of a later one", fragment(false, wire.TypeFinished, 6, 100, 0, 20)},
			{"far ahead", fragment(false, wire.TypeFinished, 60000, 100, 0, 20)},
		} {
			t.Run(test.name, func(t *testing.T) {
				p := newPair(t, playOptions{version: version}, nil)
				p.mustInput(p.server, p.output(p.client)...)
				p.mustInput(p.client, p.reseal(p.server, 0, record.Handshake, test.forge))
				p.mustInput(p.client, p.output(p.server)...)
				p.settle()
				if !p.client.complete || !p.server.complete {
					t.Errorf("not complete: the client got %v, the server %v", p.client.got, p.server.got)
				}
			})
		}
	})
}

// TestMessageInClear: when there are keys, a message in clear is no message.
func TestMessageInClear(t *testing.T) {
	for _, strict := range []bool{false, true} {
		p := newPair(t, playOptions{version: wire.VersionTLS13}, func(client, _ *DatagramOptions) { client.Strict = strict })
		p.mustInput(p.server, p.output(p.client)...)
		flight := p.output(p.server)[0]
		_, hello, _ := record.ParseClassic(flight, 0)
		p.mustInput(p.client, flight[:hello])
		clear := p.reseal(p.server, 0, record.Handshake, fragment(true, wire.TypeEncryptedExtensions, 1, 10, 0, 10))
		err := p.input(p.client, clear)
		if strict {
			wantAlert(t, err, alert.UnexpectedMessage)
			continue
		}
		if err != nil || !slices.Equal(p.client.got, []string{"ServerHello"}) {
			t.Errorf("got %v, error %v", p.client.got, err)
		}
		p.mustInput(p.client, flight[hello:])
		if !p.client.complete {
			t.Error("the client is not complete")
		}
	}
}

// TestFinishedInClear12: a Finished that is not protected is none.
func TestFinishedInClear12(t *testing.T) {
	for _, strict := range []bool{false, true} {
		p := newPair(t, playOptions{version: wire.VersionTLS12}, func(_, server *DatagramOptions) { server.Strict = strict })
		p.mustInput(p.server, p.output(p.client)...)
		p.mustInput(p.client, p.output(p.server)...)
		exchange := p.reseal(p.client, 0, record.Handshake, fragment(false, wire.TypeClientKeyExchange, 1, 66, 0, 66))
		finished := new(record.Epoch12)
		finished.StartAt(2000)
		clear, _ := finished.Seal(nil, record.Handshake, fragment(false, wire.TypeFinished, 2, 12, 0, 12))
		err := p.input(p.server, clear, exchange)
		if strict {
			wantAlert(t, err, alert.UnexpectedMessage)
		} else if err != nil {
			t.Error(err)
		}
		if p.server.complete {
			t.Error("a Finished in clear completes the handshake")
		}
	}
}

func TestChangeCipherSpec12(t *testing.T) {
	for _, test := range []struct {
		name   string
		body   []byte
		strict bool
		want   bool // an error
	}{
		{"a stray one", []byte{1}, true, false},
		{"another byte", []byte{2}, true, true},
		{"two bytes", []byte{1, 1}, true, true},
		{"another byte, from anybody", []byte{2}, false, false},
	} {
		p := newPair(t, playOptions{version: wire.VersionTLS12}, func(client, _ *DatagramOptions) { client.Strict = test.strict })
		p.mustInput(p.server, p.output(p.client)...)
		p.mustInput(p.client, p.output(p.server)...)
		if err := p.input(p.client, p.reseal(p.server, 0, record.ChangeCipherSpec, test.body)); (err != nil) != test.want {
			t.Errorf("%s: got error %v", test.name, err)
		}
	}
}

// TestLost CCS: the epochs say it all.
func TestLostChangeCipherSpec(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS12}, nil)
	p.mustInput(p.server, p.output(p.client)...)
	p.mustInput(p.client, p.output(p.server)...)
	d := p.output(p.client)[0]
	var kept []byte
	for in := d; len(in) > 0; {
		c, n, _ := record.ParseClassic(in, 0)
		if c.Type != record.ChangeCipherSpec {
			kept = append(kept, in[:n]...)
		}
		in = in[n:]
	}
	p.mustInput(p.server, kept)
	if !p.server.complete {
		t.Error("the server is not complete")
	}
}

func TestExtraFinished(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		epoch, size, seq := uint64(2), 32, 5
		if version == wire.VersionTLS12 {
			epoch, size, seq = 1, 12, 5
		}
		extra := fragment(true, wire.TypeFinished, seq, size, 0, size)
		t.Run("afterwards", func(t *testing.T) {
			p := newPair(t, playOptions{version: version}, nil)
			p.settle()
			var fault *alert.Error
			if err := p.input(p.client, p.reseal(p.server, epoch, record.Handshake, extra)); err == nil || !errors.As(err, &fault) {
				// The client forgets the handshake's keys once its Finished is
				// acknowledged, which it is here.
				if version == wire.VersionTLS12 || len(p.client.protocol.(*dtls13).reads) > 1 {
					t.Errorf("got error %v", err)
				}
			}
		})
		t.Run("before", func(t *testing.T) {
			p := newPair(t, playOptions{version: version}, nil)
			p.mustInput(p.server, p.output(p.client)...)
			out := p.output(p.server)
			if version == wire.VersionTLS12 {
				p.mustInput(p.client, out...)
				p.mustInput(p.server, p.output(p.client)...)
				out = p.output(p.server)
			}
			// Only the clear part, then the extra message, then all.
			_, hello, _ := record.ParseClassic(out[0], 0)
			p.mustInput(p.client, out[0][:hello])
			p.mustInput(p.client, p.reseal(p.server, epoch, record.Handshake, extra))
			var fault *alert.Error
			if err := p.input(p.client, out[0][hello:]); !errors.As(err, &fault) {
				t.Errorf("got error %v", err)
			}
		})
	})
}

func TestRenegotiation12(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS12}, nil)
	p.connect()
	request := p.reseal(p.server, 1, record.Handshake, fragment(true, wire.TypeHelloRequest, 0, 0, 0, 0))
	p.mustInput(p.client, request)
	p.want("refused", p.client, p.output(p.client), "1:alert(1,no_renegotiation)")
	p.mustInput(p.client, request)
	p.want("a duplicate", p.client, p.output(p.client))
	wantAlert(t, p.input(p.server, p.reseal(p.client, 1, record.Handshake, fragment(false, wire.TypeClientHello, 0, 50, 0, 50))), errPlay.Description)
}

// TestIdleMessages: messages after the handshake are bounded, unless there is
// data between them.
func TestIdleMessages(t *testing.T) {
	for _, data := range []bool{false, true} {
		p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
		p.connect()
		var err error
		for range 100 {
			p.server.send(wire.TypeNewSessionTicket, 5)
			if err = p.input(p.client, p.output(p.server)...); err != nil {
				break
			}
			if data {
				p.mustInput(p.client, p.seal(p.server, "x"))
			}
		}
		if data && err != nil || !data && err != errIdleMessages {
			t.Errorf("with data %v: got error %v", data, err)
		}
	}
}

func TestMessageNumbersEnd(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.connect()
	p.client.nextSeq = 0xffff
	p.client.Send(message(false, wire.TypeNewSessionTicket, 0xffff, 5))
	if err := p.client.Expire(p.now); err != nil {
		t.Error(err)
	}
	p.client.Send(message(false, wire.TypeNewSessionTicket, 0x10000, 5))
	wantAlert(t, p.client.Expire(p.now), alert.InternalError)
}

func TestLastEpoch(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.connect()
	r := p.client.protocol.(*dtls13)
	k := keys(wire.VersionTLS13, true, 1)
	r.reads = []reader{{Epoch13: record.NewEpoch13(maxEpoch-1, k, nil)}}
	if err := p.client.InstallRead(handshake.Application, k); err != nil {
		t.Error(err)
	}
	wantAlert(t, p.client.InstallRead(handshake.Application, k), alert.UnexpectedMessage)
	p.client.write = record.NewEpoch13(maxEpoch, k, nil)
	p.client.InstallWrite(handshake.Application, k)
	wantAlert(t, p.client.Expire(p.now), alert.InternalError)
}

// TestIntegrityLimit: RFC 9147bis, Section 4.5.3.
func TestIntegrityLimit(t *testing.T) {
	p := newPair(t, playOptions{version: wire.VersionTLS13}, nil)
	p.connect()
	s := *suite.ByID(0x1301)
	s.IntegrityLimit = 5
	k := keys(wire.VersionTLS13, true, 3)
	k.Suite = &s
	r := p.client.protocol.(*dtls13)
	r.reads = []reader{{Epoch13: record.NewEpoch13(3, k, nil)}}
	forged := p.seal(p.server, "x")
	forged[len(forged)-1]++
	for range 5 {
		p.mustInput(p.client, forged)
	}
	wantAlert(t, p.input(p.client, forged), alert.BadRecordMAC)
}
