package carrier

import (
	"bytes"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// TestUnusualMoments: records that are unusual, or come at an unusual moment, and what
// they mean.
func TestUnusualMoments(t *testing.T) {
	plain := func(typ record.ContentType, body ...byte) []byte {
		return append([]byte{byte(typ), 3, 3, byte(len(body) >> 8), byte(len(body))}, body...)
	}
	versioned := func(major, minor byte, rec []byte) []byte {
		rec = bytes.Clone(rec)
		rec[1], rec[2] = major, minor
		return rec
	}
	keys13 := suite.ByID(0x1301).TrafficKeys(suite.TLS, make([]byte, 32))
	keys12, _ := suite.ByID(0xc02b).Keys12(make([]byte, 48), make([]byte, 32), make([]byte, 32))
	sealed := func(k suite.Keys, typ record.ContentType, body ...byte) []byte {
		var s record.Stream
		s.Install(k)
		return s.Seal(nil, typ, body)
	}
	var (
		hello   = wire.AppendMessage(nil, wire.TypeServerHello, []byte{9})
		message = plain(record.Handshake, hello...)
		ccs     = plain(record.ChangeCipherSpec, 1)
		refusal = plain(record.Alert, 2, byte(alert.IllegalParameter))
		full    = make([]byte, record.MaxPlaintext+record.MaxOverhead13)
	)
	type state struct {
		server   bool
		min, max uint16
		version  uint16
		started  bool // something was sent
		keys     *suite.Keys
		level    handshake.Level
		records  uint64 // that have come under the keys
		skip     uint32
		complete bool
	}
	client := state{min: wire.VersionTLS12, max: wire.VersionTLS13, started: true}
	only13 := state{min: wire.VersionTLS13, max: wire.VersionTLS13, started: true}
	only12 := state{min: wire.VersionTLS12, max: wire.VersionTLS12, started: true}
	fresh := state{server: true, min: wire.VersionTLS12, max: wire.VersionTLS13}
	retry := state{server: true, max: wire.VersionTLS13, version: wire.VersionTLS13, started: true, skip: 1 << 17}
	waits := state{server: true, version: wire.VersionTLS13, started: true, keys: &keys13, level: handshake.Handshake}
	early := state{server: true, version: wire.VersionTLS13, started: true, keys: &keys13, level: handshake.EarlyData, records: 3}
	second := state{server: true, version: wire.VersionTLS13, started: true, keys: &keys13, level: handshake.Handshake, records: 1}
	answered := state{version: wire.VersionTLS13, started: true, keys: &keys13, level: handshake.Handshake}
	old := state{version: wire.VersionTLS12, started: true, keys: &keys12, level: handshake.Application}
	done := state{version: wire.VersionTLS13, started: true, keys: &keys13, level: handshake.Application, complete: true}
	peer := func(d alert.Description) error { return &PeerAlert{d} }
	for _, test := range []struct {
		name  string
		state state
		in    []byte
		want  error
	}{
		// RFC 9846, Section 5: ChangeCipherSpec.
		{"a CCS before the ServerHello", client, ccs, nil},
		{"a CCS before the ServerHello of TLS 1.3 only", only13, ccs, nil},
		{"a CCS before the ServerHello of TLS 1.2 only", only12, ccs, errUnexpectedCCS},
		{"a CCS before the ClientHello", fresh, ccs, errUnexpectedCCS},
		{"a CCS after a HelloRetryRequest", retry, ccs, nil},
		{"a CCS before the client's Finished", waits, ccs, nil},
		{"a CCS in early data", early, ccs, nil},
		{"a CCS after the handshake", done, ccs, errUnexpectedCCS},
		{"a CCS of two bytes", client, plain(record.ChangeCipherSpec, 1, 1), errUnexpectedCCS},
		{"a CCS of two bytes in TLS 1.3", waits, plain(record.ChangeCipherSpec, 1, 1), errUnexpectedCCS},
		{"an encrypted CCS in TLS 1.3", waits, sealed(keys13, record.ChangeCipherSpec, 1), errUnexpectedCCS},
		{"a second CCS in TLS 1.2", old, sealed(keys12, record.ChangeCipherSpec, 1), errUnexpectedCCS},
		{"a second CCS in TLS 1.2 that is not encrypted", old, ccs, errUnexpectedCCS},

		// Section 6: alerts.
		{"a warning that is none", only13, plain(record.Alert, 1, byte(alert.HandshakeFailure)), peer(alert.HandshakeFailure)},
		// Once the version is known BoringSSL's runner wants a decode_error instead.
		{"an encrypted warning that is none", done, sealed(keys13, record.Alert, 1, byte(alert.HandshakeFailure)), errBadAlert},
		{"an encrypted warning that is none, in the handshake", answered, sealed(keys13, record.Alert, 1, byte(alert.UnrecognizedName)), errBadAlert},
		{"an encrypted warning that nobody knows", done, sealed(keys13, record.Alert, 1, 200), errBadAlert},
		{"an encrypted user_canceled", answered, sealed(keys13, record.Alert, 1, byte(alert.UserCanceled)), nil},
		{"a warning that nobody knows", only13, plain(record.Alert, 1, 200), peer(200)},
		{"a warning that is none, before the ClientHello", state{server: true, min: wire.VersionTLS13, max: wire.VersionTLS13},
			plain(record.Alert, 1, byte(alert.ProtocolVersion)), peer(alert.ProtocolVersion)},
		{"user_canceled", only13, plain(record.Alert, 1, byte(alert.UserCanceled)), nil},
		{"a warning, where TLS 1.2 is possible", client, plain(record.Alert, 1, byte(alert.UnrecognizedName)), nil},
		{"a fatal close_notify", only13, plain(record.Alert, 2, byte(alert.CloseNotify)), ErrClosed},
		{"an empty alert", client, plain(record.Alert), errBadAlert},
		{"an empty alert that is encrypted", waits, sealed(keys13, record.Alert), errEmptyAlert},
		{"an empty alert that is encrypted, after the handshake", done, sealed(keys13, record.Alert), errEmptyAlert},
		{"an empty alert that is encrypted, in TLS 1.2", old, sealed(keys12, record.Alert), errEmptyAlert},
		{"half an alert that is encrypted", done, sealed(keys13, record.Alert, 2), errBadAlert},
		{"a client refuses the ServerHello", waits, refusal, peer(alert.IllegalParameter)},
		{"a client refuses the ServerHello after early data", early, refusal, peer(alert.IllegalParameter)},
		{"a client refuses the ServerHello, early data is skipped", func() state { s := waits; s.skip = 100; return s }(), refusal, peer(alert.IllegalParameter)},
		{"a client with keys refuses in the clear", second, refusal, errMAC},
		{"a server refuses in the clear", answered, refusal, errMAC},
		{"a client closes in the clear", waits, plain(record.Alert, 2, byte(alert.CloseNotify)), errMAC},
		{"a client warns in the clear", waits, plain(record.Alert, 1, byte(alert.IllegalParameter)), errMAC},
		{"an alert in the clear after the handshake", func() state { s := done; s.server = true; return s }(), refusal, errMAC},

		// Section 5.1: legacy_record_version.
		{"a first record of 3.1", fresh, versioned(3, 1, message), nil},
		{"a first record of 2.1", fresh, versioned(2, 1, message), nil},
		{"a first record of 3.255", fresh, versioned(3, 255, message), nil},
		{"a first record of 4.0", fresh, versioned(4, 0, message), errNotTLS},
		{"the second ClientHello's record of 3.1", retry, versioned(3, 1, message), nil},
		{"the client's alert after a HelloRetryRequest, of 3.1", retry, versioned(3, 1, refusal), peer(alert.IllegalParameter)},
		{"a CCS of 3.1", waits, versioned(3, 1, ccs), nil},
		{"a client's refusal of 3.1", waits, versioned(3, 1, refusal), peer(alert.IllegalParameter)},
		{"an encrypted record of 3.1", done, versioned(3, 1, sealed(keys13, record.ApplicationData, 1)), errMAC},
		{"an encrypted record of no version", done, versioned(3, 255, sealed(keys13, record.ApplicationData, 1)), errRecordVersion},
		{"a record of 3.1 in TLS 1.2", old, versioned(3, 1, sealed(keys12, record.Handshake, hello...)), errRecordVersion},

		// Sections 4.3.10 and 5.2: early data that is skipped is as long as ciphertext is.
		{"a full record of early data after a HelloRetryRequest", retry, plain(record.ApplicationData, full...), nil},
		{"a record that is longer", retry, plain(record.ApplicationData, append(full, 0)...), errOverflow},
		{"a full record of early data with keys", func() state { s := waits; s.skip = 1 << 17; return s }(), plain(record.ApplicationData, full...), nil},
		{"a handshake record as long", retry, plain(record.Handshake, full...), errOverflow},
		{"a full record of early data that nobody has offered", fresh, plain(record.ApplicationData, full...), errOverflow},
		{"an empty handshake record", client, plain(record.Handshake), errEmptyHandshake},
		{"an empty handshake record that is encrypted", done, sealed(keys13, record.Handshake), errEmptyHandshake},
	} {
		t.Run(test.name, func(t *testing.T) {
			u := new(updater)
			u.stream = NewStream(u, &StreamOptions{Server: test.state.server, MinVersion: test.state.min, MaxVersion: test.state.max,
				MaxRecordData: record.MaxPlaintext, MaxCertificate: 1 << 16})
			s := u.stream
			s.version, s.started, s.reads, s.complete = test.state.version, test.state.started, test.state.level, test.state.complete
			if k := test.state.keys; k != nil {
				s.in.Resume(*k, test.state.records)
			}
			if test.state.skip > 0 {
				s.SkipEarlyData(test.state.skip)
			}
			_, n, err := u.open(bytes.Clone(test.in))
			wantNamedAlert(t, test.want)
			same := err == test.want
			switch want := test.want.(type) {
			case *alert.Error:
				got, ok := err.(*alert.Error)
				same = ok && got.Description == want.Description
			case *PeerAlert:
				got, ok := err.(*PeerAlert)
				same = ok && *got == *want
			}
			if !same {
				t.Errorf("%v, want %v", err, test.want)
			}
			if err == nil && n != len(test.in) {
				t.Errorf("%d bytes are used of %d", n, len(test.in))
			}
		})
	}
}

// What the records' own package says.
var (
	errMAC      = alert.New(alert.BadRecordMAC, "a record does not authenticate")
	errOverflow = alert.New(alert.RecordOverflow, "a record is too long")
)
