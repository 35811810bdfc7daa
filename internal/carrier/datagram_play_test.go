package carrier

import (
	"bytes"
	"errors"
	"fmt"
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
	m := suite.Material{IV: [12]byte{byte(epoch)}}
	m.Keys[0], m.Keys[1] = byte(epoch), byte(epoch>>8)
	if fromServer {
		m.Keys[2] = 1
	}
	k := s.RestingKeys(m)
	k.Wake()
	return k
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
	forged  int
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
	slowVerdict bool // and the client's verdict on the certificate, in DTLS 1.2
	localCID    [2][]byte
	damaged     bool // messages unencrypted may not be what was sent
}

// message returns the body of a message: it depends on the sender, the type and the
// number.
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
	seq := int(p.d.nextOut)
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

func (p *play) Keys() (read, write suite.Keys) { return read, write }

func (p *play) KeysExhausted(request bool) {
	if request {
		p.forged++
		p.updateKeys()
	} else {
		p.exhaust++
	}
}

var errPlay = alert.New(alert.HandshakeFailure, "a message that has no place here")

func (p *play) handle(m wire.Message) error {
	// The client's random is the same in both hellos, the rest need not be.
	if want := message(!p.server, m.Type, int(m.Seq), len(m.Body))[4:]; !bytes.Equal(m.Body, want) && !(p.options.damaged && p.reads == 0) {
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
	p.d.Pause()
}

// answer ends the waiting.
func (p *play) answer(now time.Time) error {
	p.waiting = false
	p.then()
	p.d.Resume(now)
	return p.handleMessages(now)
}

// errPending is what the engine answers instead of opening a record while it waits.
var errPending = errors.New("pending")

// open opens a record and handles its messages, as the engine does.
func (p *play) open(now time.Time, in []byte) (Opened, int, error) {
	if p.waiting {
		return Opened{}, 0, errPending
	}
	o, n, err := p.d.Open(now, in)
	if err == nil {
		err = p.handleMessages(now)
	}
	return o, n, err
}

func (p *play) handleMessages(now time.Time) error {
	for {
		m, ok, err := p.d.Next(now)
		if err != nil || !ok {
			return err
		}
		if err := p.handle(m); err != nil {
			return err
		}
	}
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
	case wire.TypeCertificate:
		p.wait(p.options.slowVerdict, func() {})
	case wire.TypeServerKeyExchange:
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
	case wire.TypeNewSessionTicket, wire.TypeNewConnectionID, wire.TypeRequestConnectionID:
	case wire.TypeKeyUpdate:
		return p.installRead(handshake.Application)
	case wire.TypeHelloRequest:
		p.d.begin()
		p.d.x.alerts = append(p.d.x.alerts, [2]byte{alertWarning, byte(alert.NoRenegotiation)})
	default:
		return errPlay
	}
	return nil
}

func (p *play) updateKeys() {
	p.writes++
	p.d.SendKeyUpdate(message(p.server, wire.TypeKeyUpdate, int(p.d.nextOut), 1), keys(p.agreed, p.server, p.writes))
}

// drops is how many records were dropped, for whatever reason.
func (e *end) drops() (n uint64) {
	for _, of := range e.Dropped() {
		n += of
	}
	return n
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
		h.d = NewDatagram(h, &o)
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
		mtu := int(e.path.mtu)
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
			o, n, err := e.open(p.now, in)
			if err != nil {
				return err
			}
			if n <= 0 || n > len(in) {
				p.t.Fatalf("the %s uses %d of %d bytes", e.name, n, len(in))
			}
			if o.Data != nil {
				e.data, e.kinds = append(e.data, string(o.Data)), append(e.kinds, o.Kind)
			}
			in = in[n:]
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
	d, err := e.Seal(nil, []byte(data))
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
		n, epoch, typ, content, err := decode(e.version, e.server, len(peer.cids.localCID()), peer.ids().local, in)
		if err != nil {
			p.t.Fatalf("a record that the %s sends: %v", e.name, err)
		}
		records = append(records, fmt.Sprintf("%d:%s", epoch, describeContent(typ, content)))
		in = in[n:]
	}
	return strings.Join(records, " ")
}

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
			if _, typ, content, err = record.NewReader13(epoch, keys(version, fromServer, epoch)).Open(&u); err == nil {
				return n, epoch, typ, content, nil
			}
		}
		return 0, 0, 0, nil, err
	}
	c, n, ok := record.ParseClassic(in, cidLen)
	if !ok {
		return 0, 0, 0, nil, errors.New("a header does not parse")
	}
	if c.Number.Epoch > 0 {
		var cid []byte
		if len(cids) > 0 {
			cid = cids[0]
		}
		r := record.NewReader12(c.Number.Epoch, keys(version, fromServer, c.Number.Epoch), cid)
		typ, content, err = r.Open(&c)
	} else {
		typ, content, err = new(record.Clear).Open(&c)
	}
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
	case record.RRC:
		return fmt.Sprintf("RRC(%d)", content[0])
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

// reseal puts content into a record of e's epoch with the next number, as a
// peer that breaks the rules would.
func (p *pair) reseal(e *end, epoch uint64, typ record.ContentType, content []byte) []byte {
	p.t.Helper()
	var s record.Sealer
	switch {
	case epoch == 0:
		s = &record.Clear{Version: wire.VersionDTLS12}
	case e.version == wire.VersionTLS12:
		s = record.NewWriter12(epoch, keys(e.version, e.server, epoch), nil)
	default:
		s = record.NewWriter13(epoch, keys(e.version, e.server, epoch), nil)
	}
	for range 100 {
		if _, err := s.Seal(nil, typ, nil); err != nil {
			p.t.Fatal(err)
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
