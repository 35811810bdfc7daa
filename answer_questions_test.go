package hermetic

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// asking is a kind of handshake of which each part can be asked for.
type asking struct {
	name    string
	version uint16
	mutual  bool
	psk     bool
	resumes bool
	early   bool
}

var askings = []asking{
	{name: "TLS 1.2", version: tls.VersionTLS12},
	{name: "TLS 1.2 mutual", version: tls.VersionTLS12, mutual: true},
	{name: "TLS 1.2 PSK", version: tls.VersionTLS12, psk: true},
	{name: "TLS 1.2 resumed", version: tls.VersionTLS12, resumes: true},
	{name: "TLS 1.3", version: tls.VersionTLS13},
	{name: "TLS 1.3 mutual", version: tls.VersionTLS13, mutual: true},
	{name: "TLS 1.3 PSK", version: tls.VersionTLS13, psk: true},
	{name: "TLS 1.3 resumed", version: tls.VersionTLS13, resumes: true},
	{name: "TLS 1.3 early data", version: tls.VersionTLS13, resumes: true, early: true},
}

// asker is the two Configs of an asking, and what answers its questions.
type asker struct {
	tb             testing.TB
	client, server *Config
	leaf           tls.Certificate
	psk            PSK
	keys           []TicketKey
	now            clock
	early          bool
}

// newAsker makes the Configs. Sessions are those of a handshake in which nothing is
// asked; questions are then asked by both sides.
func newAsker(t *testing.T, datagram bool, a asking, questions Async) *asker {
	ca := pkitest.CA(t)
	k := &asker{tb: t, leaf: ca.Leaf(t, pkitest.Options{}), keys: []TicketKey{{1}}, now: clock{pkitest.Now}, early: a.early}
	k.psk = PSK{Identity: []byte("device"), Key: []byte("0123456789abcdef")}
	k.client = &Config{Time: k.now.time, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: a.version, Certificates: []tls.Certificate{k.leaf}}
	k.server = &Config{Time: k.now.time, ClientCAs: ca.Pool(), Certificates: []tls.Certificate{k.leaf}, TicketKeys: StaticTicketKeys(k.keys...), ReplayGuard: anew{}}
	if a.mutual {
		k.server.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if a.psk {
		k.client = &Config{Time: k.now.time, MaxVersion: a.version, PSKs: []PSK{k.psk}}
		k.server = &Config{Time: k.now.time, PSKs: []PSK{k.psk}}
	}
	if a.early {
		k.client.EarlyData, k.server.MaxEarlyData = true, 1000
	}
	if a.resumes {
		k.client.SessionCache = NewSessionCache(4)
		newMeeting(t, datagram, k.client, k.server).settle(&k.now)
	}
	k.client, k.server = k.client.Clone(), k.server.Clone()
	k.client.Async = questions & (AsyncChoose | AsyncSign | AsyncVerify)
	if a.resumes {
		k.client.Async |= questions & AsyncSession
	}
	if a.early {
		k.client.Async &^= AsyncVerify // a session is then not offered for early data
	}
	if a.psk && questions&AsyncClientPSK != 0 {
		k.client.Async, k.client.PSKs = k.client.Async|AsyncClientPSK, nil
	}
	k.server.Async = questions &^ (AsyncSession | AsyncClientPSK)
	if !a.psk {
		k.server.Async &^= AsyncPSK
	}
	if questions&AsyncTicketKeys != 0 {
		k.server.TicketKeys = nil
	}
	if questions&AsyncPSK != 0 && a.psk {
		k.server.PSKs = nil
	}
	if questions&AsyncReplay != 0 {
		k.server.ReplayGuard = nil
	}
	return k
}

// answer answers a question the way the Config would, or with an error.
func (k *asker) answer(p Pending, fail error) error {
	switch p := p.(type) {
	case *ConfigRequest:
		return p.Answer(nil, fail)
	case *ChooseRequest:
		return p.Answer(&k.leaf, fail)
	case *SignRequest:
		signature, err := p.Sign(nil, p.Certificate.PrivateKey.(crypto.Signer))
		if fail != nil {
			err = fail
		}
		return p.Answer(signature, err)
	case *VerifyRequest:
		return p.Answer(fail)
	case *SessionRequest:
		return p.Answer(k.client.SessionCache.Get(p.Key), fail)
	case *TicketKeysRequest:
		return p.Answer(k.keys, fail)
	case *PSKRequest:
		return p.Answer(&k.psk, fail)
	case *ClientPSKRequest:
		return p.Answer(&k.psk, fail)
	case *ReplayRequest:
		return p.Answer(true, fail)
	}
	k.tb.Fatalf("an unknown question: %T", p)
	return nil
}

// strange is a handshake whose bytes somebody between the two changes.
type strange struct {
	*asker
	*meeting
	asked int
	// change changes what a side has sent, flight by flight, counted from 0.
	change func(flight int, out []byte) []byte
}

func newStrange(k *asker, change func(flight int, out []byte) []byte) *strange {
	return &strange{asker: k, meeting: newMeeting(k.tb, false, k.client, k.server), change: change}
}

// run lets the two talk until one fails or nothing moves: every question is open until
// there is nothing else to do. It returns the first failure.
func (s *strange) run() error {
	var in [2][]byte // for the server, for the client
	ends := [2]*Engine{s.meeting.server, s.meeting.client}
	for flight := 0; flight < 40; {
		moved := false
		for i, e := range ends {
			var out []byte
			from := ends[1-i]
			if from.HasOutput(); from.Pending() == nil { // a flight is whole
				out = from.Output(nil)
			}
			if i == 0 && flight == 0 && s.early && len(out) > 0 {
				var err error
				if out, err = from.SealEarlyData(out, []byte("early")); err != nil {
					return err
				}
			}
			if len(out) > 0 {
				in[i] = append(in[i], s.change(flight, out)...)
				flight++
				moved = true
			}
			for len(in[i]) > 0 && e.Pending() == nil {
				o, err := e.Open(in[i])
				if err != nil {
					return err
				}
				if o.N == 0 {
					break
				}
				if o.Kind == KindEarlyData {
					s.got.early = append(s.got.early, o.Data...)
				}
				in[i], moved = in[i][o.N:], true
			}
		}
		if moved {
			continue
		}
		for _, e := range ends {
			if q := e.Pending(); q != nil {
				s.asked++
				s.now.now = s.now.now.Add(time.Second) // answers take their time
				if err := s.asker.answer(q, nil); err != nil {
					return err
				}
				if e.err != nil {
					return e.err
				}
				moved = true
			}
		}
		if !moved {
			return nil
		}
	}
	return errors.New("the engines go on forever")
}

// lostEarlyData reports that both sides believe that early data has come, and it has not.
func (s *strange) lostEarlyData() bool {
	c, v := s.meeting.client.State(), s.meeting.server.State()
	return s.early && c.HandshakeComplete && v.HandshakeComplete && c.EarlyDataAccepted && v.EarlyDataAccepted && string(s.got.early) != "early"
}

func plainRecord(typ byte, body ...byte) []byte {
	return append([]byte{typ, 3, 3, byte(len(body) >> 8), byte(len(body))}, body...)
}

// afterLastMessage appends extra to the last unencrypted handshake record of a flight.
func afterLastMessage(extra []byte) func([]byte) []byte {
	return func(out []byte) []byte {
		last := -1
		for at := 0; at+5 <= len(out); at += 5 + int(out[at+3])<<8 + int(out[at+4]) {
			if out[at] == 20 && last >= 0 {
				break // what comes after it may be encrypted
			}
			if out[at] == 22 {
				last = at
			}
		}
		if last < 0 {
			return out
		}
		n := int(out[last+3])<<8 + int(out[last+4])
		changed := append(bytes.Clone(out[:last+5+n]), extra...)
		changed[last+3], changed[last+4] = byte((n+len(extra))>>8), byte(n+len(extra))
		return append(changed, out[last+5+n:]...)
	}
}

func before(extra ...byte) func([]byte) []byte {
	return func(out []byte) []byte { return append(bytes.Clone(extra), out...) }
}

func after(extra ...byte) func([]byte) []byte {
	return func(out []byte) []byte { return append(bytes.Clone(out), extra...) }
}

// intrusions are what somebody between the two can do to a flight.
var intrusions = []struct {
	name   string
	change func([]byte) []byte
}{
	{"an EndOfEarlyData in the last message's record", afterLastMessage([]byte{5, 0, 0, 0})},
	{"a ClientHello in it", afterLastMessage([]byte{1, 0, 0, 0})},
	{"a Finished in it", afterLastMessage([]byte{20, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})},
	{"a ClientKeyExchange in it", afterLastMessage([]byte{16, 0, 0, 1, 0})},
	{"a HelloRequest in it", afterLastMessage([]byte{0, 0, 0, 0})},
	{"a message of an unknown type in it", afterLastMessage([]byte{99, 0, 0, 0})},
	{"a part of a message in it", afterLastMessage([]byte{20, 0})},
	{"a message over the limit in it", afterLastMessage([]byte{20, 255, 255, 255})},
	{"an EndOfEarlyData in the next record", after(plainRecord(22, 5, 0, 0, 0)...)},
	{"a part of a message in the next record", after(plainRecord(22, 20, 0)...)},
	{"an empty handshake record after it", after(plainRecord(22)...)},
	{"an empty handshake record before it", before(plainRecord(22)...)},
	{"application data after it", after(plainRecord(23, 1, 2, 3)...)},
	{"application data before it", before(plainRecord(23, 1, 2, 3)...)},
	{"empty application data before it", before(plainRecord(23)...)},
	{"a ChangeCipherSpec before it", before(plainRecord(20, 1)...)},
	{"a ChangeCipherSpec after it", after(plainRecord(20, 1)...)},
	{"33 ChangeCipherSpecs after it", after(bytes.Repeat(plainRecord(20, 1), 33)...)},
	{"a malformed ChangeCipherSpec after it", after(plainRecord(20, 2)...)},
	{"a warning after it", after(plainRecord(21, 1, 90)...)},
	{"five warnings after it", after(bytes.Repeat(plainRecord(21, 1, 90), 5)...)},
	{"a fatal alert after it", after(plainRecord(21, 2, 40)...)},
	{"an alert of an unknown level after it", after(plainRecord(21, 7, 40)...)},
	{"an empty alert after it", after(plainRecord(21)...)},
	{"a close_notify after it", after(plainRecord(21, 1, 0)...)},
	{"an unknown record after it", after(plainRecord(99, 1)...)},
	{"a record of another protocol after it", after([]byte("GET / HTTP/1.1")...)},
	{"a record that is too long after it", after(22, 3, 3, 255, 255)},
	{"the flight twice", func(out []byte) []byte { return append(bytes.Clone(out), out...) }},
}

// outcome describes the result of an intrusion. The alert is that of the side that fails
// first.
func outcome(err error) string {
	var fault *AlertError
	switch {
	case err == nil:
		return "nothing"
	case errors.As(err, &fault):
		return fmt.Sprintf("%v, received %v", fault.Alert, fault.Received)
	}
	return err.Error()
}

// TestIntrusionsWithQuestions: whatever an attacker does to the bytes of a handshake, it
// ends with the same alert, whether a question is open meanwhile or none is ever asked.
// A check must depend neither on what answers a question, nor on when.
func TestIntrusionsWithQuestions(t *testing.T) {
	for _, a := range askings {
		t.Run(a.name, func(t *testing.T) {
			asked := map[Async]int{}
			each := a.asks()
			all := Async(0)
			for _, q := range each {
				all |= q
			}
			for flight := range 3 {
				for _, intrusion := range intrusions {
					change := func(n int, out []byte) []byte {
						if n == flight {
							return intrusion.change(out)
						}
						return bytes.Clone(out)
					}
					want := outcome(newStrange(newAsker(t, false, a, 0), change).run())
					for _, questions := range append(each, all) {
						s := newStrange(newAsker(t, false, a, questions), change)
						got := outcome(s.run())
						asked[questions] += s.asked
						if got != want {
							t.Errorf("flight %d, %s, questions %b: %s; without any: %s", flight, intrusion.name, questions, got, want)
						}
						if s.lostEarlyData() {
							t.Errorf("flight %d, %s, questions %b: early data is lost, and nobody knows", flight, intrusion.name, questions)
						}
					}
				}
			}
			for _, q := range each {
				if asked[q] == 0 {
					t.Errorf("question %b was never asked", q)
				}
			}
		})
	}
}

// asks are the questions that a handshake has.
func (a asking) asks() []Async {
	switch {
	case a.early:
		return []Async{AsyncConfig, AsyncVerify, AsyncSession, AsyncTicketKeys, AsyncReplay}
	case a.resumes:
		return []Async{AsyncConfig, AsyncVerify, AsyncSession, AsyncTicketKeys}
	case a.psk:
		return []Async{AsyncConfig, AsyncVerify, AsyncPSK, AsyncClientPSK}
	}
	return []Async{AsyncConfig, AsyncChoose, AsyncSign, AsyncVerify}
}

// TestEarlyDataCutOff: RFC 9846, Section 5.1: an EndOfEarlyData that an attacker appends to
// the ClientHello's record would cut off the early data, if it were taken for a message
// under the early keys.
func TestEarlyDataCutOff(t *testing.T) {
	end := afterLastMessage(wire.AppendMessage(nil, wire.TypeEndOfEarlyData, nil))
	for _, questions := range []Async{0, AsyncReplay, AsyncTicketKeys, AsyncVerify, AsyncReplay | AsyncTicketKeys | AsyncVerify} {
		k := newAsker(t, false, askings[len(askings)-1], questions)
		k.client.Async = 0
		m := newMeeting(t, false, k.client, k.server)
		m.answer = func(p Pending) {
			if err := k.answer(p, nil); err != nil {
				t.Fatal(err)
			}
		}
		err := m.giveEarly(end(m.client.Output(nil)))
		for q := m.server.Pending(); q != nil && err == nil; q = m.server.Pending() {
			m.answer(q)
			err = m.server.err
		}
		wantAlert(t, m.server, err, AlertUnexpectedMessage)
	}
}

// TestLateTicket: a session's age counts from when its ticket was made, however long the
// answer with the keys has taken: the client's counts from when it has come.
func TestLateTicket(t *testing.T) {
	for _, datagram := range []bool{false, true} {
		client, server, now := earlyConfigs(t)
		server.Async, server.ReplayGuard, server.TicketKeys = AsyncTicketKeys, anew{}, nil
		late := time.Minute
		meet := func() *meeting {
			m := newMeeting(t, datagram, client, server)
			m.answer = func(q Pending) {
				now.now = now.now.Add(late)
				if err := q.(*TicketKeysRequest).Answer([]TicketKey{{1}}, nil); err != nil {
					t.Fatal(err)
				}
			}
			return m
		}
		m := meet()
		if m.finish(); datagram {
			m.settle(now)
		}
		late = 0
		m = meet()
		m.finish()
		if s := m.server.State(); !s.DidResume || !s.EarlyDataAccepted {
			t.Errorf("datagrams %v: resumed %v, early data accepted %v", datagram, s.DidResume, s.EarlyDataAccepted)
		}
	}
}

// TestServerBeforeHello: what a server is asked before its client has come does not begin
// the handshake, whose time is that of the ClientHello.
func TestServerBeforeHello(t *testing.T) {
	_, server := configs(t)
	for _, mode := range []Mode{TLSServer, DTLSServer} {
		e, err := NewEngine(mode, server)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Seal(nil, []byte("x")); !errors.Is(err, ErrInvalidOperation) {
			t.Errorf("%v: Seal: %v", mode, err)
		}
		if _, err := e.SealEarlyData(nil, []byte("x")); !errors.Is(err, ErrInvalidOperation) {
			t.Errorf("%v: SealEarlyData: %v", mode, err)
		}
		if e.EarlyDataRoom() != 0 || e.HasOutput() || len(e.Output(nil)) > 0 || e.started {
			t.Errorf("%v: it has begun", mode)
		}
		e.Close()
		e.Expire()
		e.Reset()
	}
}
