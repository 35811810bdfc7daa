package hermetic

import (
	"fmt"

	"github.com/hermetic-tls/hermetic/internal/handshake"
)

// ExportKeyingMaterial returns length bytes that are bound to the connection, label and context
// (RFC 5705; RFC 9846, Section 7.5). Nil and empty context differ in TLS 1.2 only. It is an
// [ErrInvalidOperation] in TLS 1.2 without extended master secret, and before the handshake is
// complete; but a server that has accepted early data can use it as soon as it may reply.
func (e *Engine) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	if err := e.established(); err != nil && !e.exportsEarly() {
		return nil, err
	}
	return exportFrom(e.conn, label, context, length)
}

// exportsEarly reports whether a server has accepted early data and sent its Finished.
// Exported keys are then bound to the client with which the session began.
func (e *Engine) exportsEarly() bool {
	return e.err == nil && e.mode.IsServer() && e.conn != nil && e.conn.EarlyData == handshake.EarlyDataAccepted && e.conn.HasExporter()
}

// ExportKeyingMaterial is [Engine.ExportKeyingMaterial].
func (s *ConnectionState) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	if !s.HandshakeComplete {
		return nil, errIncomplete
	}
	return exportFrom(s.conn, label, context, length)
}

// ChannelBinding returns the channel binding "tls-exporter" (RFC 9266): 32 bytes that only the
// two ends of this connection know.
func (s *ConnectionState) ChannelBinding() ([]byte, error) {
	return s.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
}

var errForgotten = &invalidOperation{"the connection has failed, and its secrets are forgotten"}

var errNoEMS = &invalidOperation{handshake.ErrNoEMS.Error()}

func exportFrom(c *handshake.Connection, label string, context []byte, length int) ([]byte, error) {
	switch {
	case !c.HasExporter():
		return nil, errForgotten
	case length < 0 || length > 255*32:
		return nil, &invalidOperation{fmt.Sprintf("the length is not from 0 to %d", 255*32)}
	case len(label) > 249-6:
		return nil, &invalidOperation{"the label is longer than 243 bytes"}
	case len(context) > 1<<16-1:
		return nil, &invalidOperation{"the context is longer than 65535 bytes"}
	}
	key, err := c.Export(label, context, length)
	switch err {
	case nil:
		return key, nil
	case handshake.ErrNoEMS:
		return nil, errNoEMS
	}
	return nil, &invalidOperation{err.Error()}
}
