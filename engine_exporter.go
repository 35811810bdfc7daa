package hermetic

import (
	"fmt"

	"github.com/hermetic-tls/hermetic/internal/handshake"
)

// ExportKeyingMaterial returns length bytes bound to the connection, label and
// context (RFC 5705; RFC 9846, Section 7.5). Nil and empty context differ in TLS
// 1.2 only. Before the handshake is complete, or in TLS 1.2 without extended
// master secret, it is an ErrInvalidOperation; but a server that has accepted
// early data has the exporter as soon as it may answer.
func (e *Engine) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	if err := e.established(); err != nil && !e.exportsEarly() {
		return nil, err
	}
	return exportFrom(e.conn, label, context, length)
}

// exportsEarly reports that a server has accepted early data and sent its Finished.
// What the exporter gives is then bound to whom the session began with.
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

// ChannelBinding is the channel binding "tls-exporter" (RFC 9266): 32 bytes that
// both ends of this connection know, and nobody between them.
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
