package hermetic

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"
)

// asks lets the two talk until a question of this kind is open, and answers others.
func (c *closing) asks(question Async) *Engine {
	c.t.Helper()
	for range 60 {
		c.deliver()
		for _, e := range []*Engine{c.meeting.client, c.meeting.server} {
			q := e.Pending()
			if q == nil {
				continue
			}
			if kindOf(q) == question {
				return e
			}
			if err := c.answer(q, nil); err != nil {
				c.t.Fatal(err)
			}
		}
		if c.datagram {
			c.now.now = c.now.now.Add(300 * time.Millisecond)
			c.meeting.client.Expire()
			c.meeting.server.Expire()
		}
	}
	return nil
}

// kindOf is the bit of Async that has asked.
func kindOf(q Pending) Async {
	switch q.(type) {
	case *ConfigRequest:
		return AsyncConfig
	case *ChooseRequest:
		return AsyncChoose
	case *SignRequest:
		return AsyncSign
	case *VerifyRequest:
		return AsyncVerify
	case *SessionRequest:
		return AsyncSession
	case *TicketKeysRequest:
		return AsyncTicketKeys
	case *PSKRequest:
		return AsyncPSK
	case *ClientPSKRequest:
		return AsyncClientPSK
	}
	return AsyncReplay
}

// TestOperationsWithQuestions: what can be done while a question is open, and what
// comes of each kind of answer.
func TestOperationsWithQuestions(t *testing.T) {
	for _, a := range askings {
		for _, question := range a.asks() {
			for _, datagram := range []bool{false, true} {
				name := fmt.Sprintf("%s, question %b, datagrams %v", a.name, question, datagram)
				open := func(t *testing.T) (*closing, *Engine) {
					c := newClosing(t, datagram, a, question)
					return c, c.asks(question)
				}
				if _, e := open(t); e == nil {
					if question != AsyncReplay { // a retry, as DTLS has one here, rejects early data
						t.Errorf("%s: it is never asked", name)
					}
					continue
				}
				t.Run(name+", operations", func(t *testing.T) {
					c, e := open(t)
					meddle(t, e)
					c.settle()
					if !c.meeting.client.HandshakeComplete() || !c.meeting.server.HandshakeComplete() {
						t.Error("the handshake is not complete")
					}
				})
				t.Run(name+", an error", func(t *testing.T) { failedAnswer(t, question, open) })
				t.Run(name+", Reset", func(t *testing.T) {
					c, e := open(t)
					q := e.Pending()
					e.Reset()
					if e.Pending() != nil {
						t.Error("a question survives Reset")
					}
					if err := c.answer(q, nil); !errors.Is(err, ErrInvalidOperation) {
						t.Errorf("an answer after Reset: %v", err)
					}
					c.meeting.client.Reset()
					c.meeting.server.Reset()
					c.input = [2][]byte{}
					c.settle()
					if !c.meeting.client.HandshakeComplete() || !c.meeting.server.HandshakeComplete() {
						t.Error("the next handshake is not complete")
					}
				})
			}
		}
	}
}

// meddle tries everything but the answer.
func meddle(t *testing.T, e *Engine) {
	in := []byte{22, 3, 3, 0, 1, 0}
	if o, err := e.Open(in); err != ErrPending || o.N != 0 || !bytes.Equal(in, []byte{22, 3, 3, 0, 1, 0}) {
		t.Errorf("Open: %d bytes are used, %v", o.N, err)
	}
	speaks := e.carrier.Speaks()
	for what, err := range map[string]error{
		"KeyUpdate":            e.KeyUpdate(UpdateRequested),
		"Compact":              e.Compact(),
		"SetServerName":        e.SetServerName("other"),
		"OfferConnectionIDs":   e.OfferConnectionIDs(1, ConnectionIDImmediate),
		"RequestConnectionIDs": e.RequestConnectionIDs(1),
	} {
		if !errors.Is(err, ErrInvalidOperation) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := e.Export(nil, stateAEAD(t, 1)); !errors.Is(err, ErrInvalidOperation) {
		t.Errorf("Export: %v", err)
	}
	if _, err := e.ExportKeyingMaterial("label", nil, 32); !errors.Is(err, ErrInvalidOperation) && !e.exportsEarly() {
		t.Errorf("ExportKeyingMaterial: %v", err)
	}
	if !speaks {
		if out, err := e.Seal([]byte("x"), []byte("data")); !errors.Is(err, ErrInvalidOperation) || string(out) != "x" {
			t.Errorf("Seal: %q, %v", out, err)
		}
	}
	if _, err := e.SealEarlyData(nil, []byte("data")); e.mode.IsServer() && !errors.Is(err, ErrInvalidOperation) {
		t.Errorf("SealEarlyData: %v", err)
	}
	if err := e.Expire(); err != nil {
		t.Errorf("Expire: %v", err)
	}
	if e.ChangeConnectionID() || e.HandshakeComplete() || e.State().HandshakeComplete {
		t.Error("the handshake is complete")
	}
}

// failedAnswer answers with an error, which ends the handshake, or is only the answer that
// there is none; and then once more.
func failedAnswer(t *testing.T, question Async, open func(*testing.T) (*closing, *Engine)) {
	c, e := open(t)
	q := e.Pending()
	gone := errors.New("it is gone")
	if err := c.answer(q, gone); err != nil {
		t.Fatal(err)
	}
	if err := c.answer(q, nil); !errors.Is(err, ErrInvalidOperation) {
		t.Errorf("an answer twice: %v", err)
	}
	want, fatal := map[Async]Alert{
		AsyncConfig: AlertInternalError, AsyncChoose: AlertInternalError, AsyncSign: AlertInternalError, AsyncVerify: AlertBadCertificate, AsyncPSK: AlertInternalError,
		AsyncClientPSK: AlertInternalError,
	}[question]
	if !fatal {
		c.settle()
		if !c.meeting.client.HandshakeComplete() || !c.meeting.server.HandshakeComplete() {
			t.Error("the handshake is not complete")
		}
		return
	}
	_, err := e.Open(nil)
	if !errors.Is(err, gone) {
		t.Errorf("%v does not wrap the answer's error", err)
	}
	wantAlert(t, e, err, want)
}
