package main

import (
	"fmt"
	"io"

	"github.com/hermetic-tls/hermetic"
)

// An endpoint is a connection by one of hermetic's APIs, over the runner's socket. A
// read or write performs the handshake if need be.
type endpoint interface {
	// handshake performs the handshake. A server that has accepted early data may
	// return before its end: then reads and writes are of early data.
	handshake() error
	// read returns up to n bytes of what the peer has sent. hermetic.ErrClosed is its
	// close_notify, errCut the end of the socket without one.
	read(n int) ([]byte, error)
	write(b []byte) error
	// begin begins a write of which only one byte gets through until the next write.
	// errUnfinished: the API has no such write.
	begin(b []byte) error
	// earlyRoom begins a client's handshake, and returns how much early data it may
	// send; writeEarly sends some, and beginEarly does what begin does.
	earlyRoom() (int, error)
	writeEarly(b []byte) error
	beginEarly(b []byte) error
	// awaitMessage continues a client's handshake up to a message of the server: its
	// ServerHello or EncryptedExtensions. errSteps: there is no such thing.
	awaitMessage(typ int) error
	// close sends close_notify.
	close() error
	// control calls f with the engine, and sends what comes of it.
	control(f func(*hermetic.Engine) error) error
	state() hermetic.ConnectionState
	// end waits until all has been written.
	end()
	// failed is called with a fatal error. It returns an error if the API breaks its
	// contract after one.
	failed(err error) error
}

// apis are the APIs by the names of the flag -api.
var apis = map[string]func(*connection, hermetic.Mode, *hermetic.Config) (endpoint, error){
	"engine":  newEngineEnd,
	"context": newContextEnd,
	"netconn": newNetConnEnd,
}

// answer answers an asynchronous question.
func (c *connection) answer(p hermetic.Pending) error {
	switch p := p.(type) {
	case *hermetic.ChooseRequest:
		return c.choose(p)
	case *hermetic.SignRequest:
		return p.Answer(p.Sign(nil, c.asked.keyOf(p.Certificate)))
	case *hermetic.VerifyRequest:
		return p.Answer(c.judge(&p.State))
	case *hermetic.SessionRequest:
		return p.Answer(c.kept.Get(p.Key), nil)
	case *hermetic.TicketKeysRequest:
		return p.Answer(ticketKeys, nil)
	case *hermetic.PSKRequest:
		return p.Answer(c.findPSK(p.Identity), nil)
	case *hermetic.ClientPSKRequest:
		return p.Answer(&c.asked.psks[0], nil)
	case *hermetic.ReplayRequest:
		return p.Answer(true, nil)
	}
	return fmt.Errorf("unknown question %T", p)
}

// earlyData is what a server reads before its handshake is complete, by an API that has
// separate calls for it.
type earlyData struct {
	possible bool // there may be some, and the handshake is not complete
	begun    bool // it has been waited for
	data     []byte
	receive  func(p []byte) (int, error) // io.EOF: the handshake is complete
}

// begin waits for the first early data, or for the end of the handshake.
func (d *earlyData) begin() error {
	if !d.possible || d.begun {
		return nil
	}
	return d.next()
}

func (d *earlyData) next() error {
	d.begun = true
	buf := make([]byte, 1<<14)
	n, err := d.receive(buf)
	d.data = buf[:n]
	if err == io.EOF {
		d.possible = false
		return nil
	}
	return err
}

// read returns up to n bytes of early data, or nil when there is no more.
func (d *earlyData) read(n int) ([]byte, error) {
	if d.possible && len(d.data) == 0 {
		if err := d.next(); err != nil {
			return nil, err
		}
	}
	if len(d.data) == 0 {
		return nil, nil
	}
	n = min(n, len(d.data))
	b := d.data[:n:n]
	d.data = d.data[n:]
	return b, nil
}
