package hermetic

import (
	"crypto/tls"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/tracer"
	"github.com/hermetic-tls/hermetic/internal/wire"
	"github.com/hermetic-tls/hermetic/trace"
)

// beginTrace starts the trace of a connection, if the Config wants one.
func (e *Engine) beginTrace() {
	cfg := e.plan.cfg
	if cfg.Trace == nil {
		return
	}
	transport := wire.Stream
	if e.mode.IsDTLS() {
		transport = wire.Datagram
	}
	e.trace = tracer.New(cfg.Trace, cfg.now, cfg.shared().conns.Add(1), e.mode.IsServer(), transport)
}

// maxTraced is how many records of a stranger's datagram a trace shows at most.
const maxTraced = 64

// traceHello traces a ClientHello that is answered without an engine, and the answer, a handshake
// message or an alert, which is out[at:].
func (c *Config) traceHello(datagram []byte, h *foundHello, answer, out []byte, at int) {
	if c.Trace == nil {
		return
	}
	t := tracer.New(c.Trace, c.now, 0, true, wire.Datagram)
	t.Enter()
	defer t.Leave()
	for range maxTraced {
		r, n, ok := record.ParseClassic(datagram, 0)
		if !ok {
			break
		}
		t.Opening(datagram[:n])
		t.ReceivedRecord(r.Type, r.Number, r.Body, n)
		t.Consumed(n)
		datagram = datagram[n:]
	}
	if len(h.start) == h.length {
		t.MessageReceived(wire.Message{Type: wire.TypeClientHello, Body: h.start, Seq: h.seq})
	}
	typ, content := record.Handshake, answer
	if len(answer) == 2 {
		typ = record.Alert
		t.Alert(true, answer[0], alert.Description(answer[1]))
	} else {
		t.MessageSent(answer, h.seq)
		header := wire.FragmentHeader{Type: wire.Type(answer[0]), Seq: h.seq, Length: len(answer) - 4, FragmentLength: len(answer) - 4}
		content = append(header.Append(nil), answer[4:]...)
	}
	t.BeginDatagram(at)
	t.SentRecord(typ, h.number, content, out, at)
}

// TraceConn returns the number of the connection in the events of Config.Trace: see [trace.Event].
// It is 0 without a trace.
func (e *Engine) TraceConn() uint64 { return e.trace.Conn() }

// traceOpen is Open with the events that it causes. It stands apart, and so do those below,
// because a deferred call would cost time also when there is no trace.
func (e *Engine) traceOpen(in []byte) (Opened, error) {
	defer e.trace.Leave()
	return e.Open(in)
}

// traceOpenAll is OpenAll.
func (e *Engine) traceOpenAll(in []byte) (Opened, error) {
	defer e.trace.Leave()
	return e.OpenAll(in)
}

// traceSeal is Seal.
func (e *Engine) traceSeal(dst, data []byte) ([]byte, error) {
	defer e.trace.Leave()
	return e.Seal(dst, data)
}

// traceSealBuffers is SealBuffers.
func (e *Engine) traceSealBuffers(dst []byte, data [][]byte) ([]byte, error) {
	defer e.trace.Leave()
	return e.SealBuffers(dst, data)
}

// traceOutput is Output.
func (e *Engine) traceOutput(dst []byte) []byte {
	defer e.trace.Leave()
	return e.Output(dst)
}

// traceOutputTo is OutputTo.
func (e *Engine) traceOutputTo(dst []byte) ([]byte, Path) {
	defer e.trace.Leave()
	return e.OutputTo(dst)
}

// traceWaiting tells which messages the handshake waits for.
func (e *Engine) traceWaiting() {
	if e.trace != nil && e.hs != nil && e.hs.machine != nil && e.hs.machine.Question() == nil {
		e.trace.State("waiting", e.hs.machine.Expects())
	}
}

// questionName is the question's name in a trace.
func questionName(q handshake.Question) string {
	switch q.(type) {
	case *handshake.Configure:
		return "config"
	case *handshake.Choose:
		return "certificate"
	case *handshake.Sign:
		return "signature"
	case *handshake.Verify:
		return "verdict"
	case *handshake.Offer:
		return "session"
	case *handshake.FindPSK:
		return "psk"
	case *handshake.ClientPSK:
		return "psk"
	case *handshake.Resume:
		return "resumption"
	case *handshake.SealTicket:
		return "ticket"
	}
	return "replay"
}

// traceQuestion tells of a question, and of its answer if the Config has given it.
func (e *Engine) traceQuestion(q handshake.Question) {
	if e.trace == nil {
		return
	}
	e.trace.Tell(&trace.Question{Question: questionName(q), Async: e.Pending() != nil})
	if e.Pending() == nil {
		e.traceAnswer(q)
	}
}

// traceAnswer tells of an answer.
func (e *Engine) traceAnswer(q handshake.Question) {
	if e.trace != nil {
		e.trace.Tell(&trace.Answer{Question: questionName(q), Failed: handshake.Failure(q) != nil})
	}
}

// traceCompleted tells what a handshake has negotiated.
func (e *Engine) traceCompleted() {
	if e.trace == nil {
		return
	}
	s := e.State()
	e.trace.State("complete", 0)
	c := &trace.Completed{
		Version:           tls.VersionName(s.Version),
		CipherSuite:       CipherSuiteName(s.CipherSuite),
		LocalSignature:    schemeName(s.LocalSignatureScheme),
		PeerSignature:     schemeName(s.PeerSignatureScheme),
		Resumed:           s.DidResume,
		PSK:               len(s.PSKIdentity) > 0,
		HelloRetryRequest: s.HelloRetryRequest,
	}
	if e.mode.IsDTLS() {
		c.Version = "D" + c.Version
	}
	if s.CurveID != 0 {
		c.Group = GroupName(s.CurveID)
	}
	if s.ServerName != "" {
		c.ServerName = alert.Quote(s.ServerName)
	}
	if s.NegotiatedProtocol != "" {
		c.Protocol = alert.Quote(s.NegotiatedProtocol)
	}
	switch {
	case s.EarlyDataAccepted:
		c.EarlyData = "accepted"
	case s.EarlyDataOffered:
		c.EarlyData = "rejected"
	}
	e.trace.Tell(c)
}

// schemeName is the RFC's name of a signature scheme, or "" for none.
func schemeName(s tls.SignatureScheme) string {
	if s == 0 {
		return ""
	}
	return suite.Scheme(s).String()
}

// traceFailed tells how the connection has failed.
func (e *Engine) traceFailed() {
	if e.trace == nil {
		return
	}
	f := &trace.Failed{Cause: alert.Clean(e.err.Error())}
	if fault, ok := e.err.(*AlertError); ok {
		f.Alert, f.Received = fault.Alert.String(), fault.Received
	}
	e.trace.Tell(f)
}
