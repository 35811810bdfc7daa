package main

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/plgd-dev/go-coap/v3/dtls/server"
	"github.com/plgd-dev/go-coap/v3/message/pool"
	"github.com/plgd-dev/go-coap/v3/mux"
	coapnet "github.com/plgd-dev/go-coap/v3/net"
	"github.com/plgd-dev/go-coap/v3/net/blockwise"
	"github.com/plgd-dev/go-coap/v3/net/monitor/inactivity"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/udp/client"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

// suites are the cipher suites of devices, the preferred first: those of TLS 1.3, and of RFC 7252
// the ones with PSKs (Section 9.1.3.1), and with raw public keys and certificates (9.1.3.2, 9.1.3.3).
// Those with CCM are used only where a Config names them.
var suites = []uint16{
	0x1301, // TLS_AES_128_GCM_SHA256
	0x1305, // TLS_AES_128_CCM_8_SHA256
	0x00A8, // TLS_PSK_WITH_AES_128_GCM_SHA256
	0xC0A8, // TLS_PSK_WITH_AES_128_CCM_8
	0xC02B, // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	0xC0AE, // TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8
}

// certificateSuites are those of suites that need no PSK.
var certificateSuites = []uint16{0x1301, 0x1305, 0xC02B, 0xC0AE}

// A listener is a DTLS listener as go-coap wants it.
type listener struct{ inner *netconn.PacketListener }

// AcceptWithContext returns go-coap's own error at the end: with any other one, its server tries
// again at once, forever.
func (l listener) AcceptWithContext(ctx context.Context) (net.Conn, error) {
	conn, err := l.inner.AcceptWithContext(ctx)
	if errors.Is(err, net.ErrClosed) {
		err = coapnet.ErrListenerIsClosed
	}
	return conn, err
}

func (l listener) Close() error { return l.inner.Close() }

// serve answers requests until the listener is closed. A device that is silent for long is
// forgotten.
func serve(l *netconn.PacketListener, handler mux.Handler) error {
	silent := func(c *client.Conn) { c.Close() }
	s := server.New(
		options.WithMux(handler),
		options.WithInactivityMonitor(10*time.Minute, silent),
	)
	return s.Serve(listener{l})
}

// dial connects to a CoAP server.
func dial(ctx context.Context, address string, config *hermetic.Config) (*client.Conn, error) {
	conn, err := netconn.Dial(ctx, "udp", address, config)
	if err != nil {
		return nil, err
	}
	return newClient(conn), nil
}

// newClient makes a client of any net.Conn that keeps datagrams apart, as go-coap's dtls package
// makes one of pion's connections.
func newClient(conn net.Conn) *client.Conn {
	cfg := client.DefaultConfig
	cfg.Errors = func(error) {} // a request returns its own
	cfg.MessagePool = pool.New(0, 0)
	cfg.CreateInactivityMonitor = func() client.InactivityMonitor { return inactivity.NewNilMonitor[*client.Conn]() }
	session := server.NewSession(cfg.Ctx, coapnet.NewConn(conn), cfg.MaxMessageSize, cfg.MTU, true)
	cc := client.NewConnWithOpts(session, &cfg, client.WithBlockWise(func(cc *client.Conn) *blockwise.BlockWise[*client.Conn] {
		return blockwise.New(cc, cfg.BlockwiseTransferTimeout, cfg.Errors, cc.GetObservationRequest)
	}))
	cfg.PeriodicRunner(func(now time.Time) bool { // sends again what was not acknowledged
		cc.CheckExpirations(now)
		return cc.Context().Err() == nil
	})
	go cc.Run()
	return cc
}
