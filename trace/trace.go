// Package trace describes what a connection does, as a stream of typed events: records and
// handshake messages with their fields, keys, alerts, timers, retransmissions, drops and
// questions. It also writes traces as lines of JSON, and reads them back.
//
// A [github.com/hermetic-tls/hermetic.Config] with a Trace function gets the events of all
// its connections:
//
//	w := trace.NewWriter(file, nil)
//	cfg.Trace = w.Write
//
// Package trace/tracelog logs the events with log/slog, trace/pcapng writes packets for
// Wireshark, and trace/flow turns a saved trace into the data of a drawing. A function of your
// own may look at Event.Data, whose dynamic type says what has happened.
//
// # What is in a trace
//
// No secret is in an event: no key, no traffic secret, no PSK, no ticket that a server issues,
// and no application data. But the messages are decrypted, so a trace shows what TLS 1.3 hides
// from the network: certificates, protocols, and the names of PSKs. Treat it as you treat a log
// with the names of your users.
//
// [Record.Bytes] are the records as they were on the wire, encrypted. They are for a function
// that writes packets: JSON and logs do not have them.
//
// Text from a peer is quoted and escaped in every field, and cut to a few hundred bytes: it has
// no control characters. An HTML page must still escape it as HTML.
package trace

import (
	"encoding/hex"
	"time"
)

// Event is something that has happened to a connection.
type Event struct {
	// Time is when it happened, by the clock of the Config, in UTC.
	Time time.Time

	// Conn numbers the connections of a Config and its Clones, from 1, in the order in which
	// their engines were made or reset. It is 0 for what belongs to no connection: the end of a
	// trace, and the ClientHellos that Config.AnswerHello answers, which have no engine.
	Conn uint64

	// Side is the role of the engine that the event is from: both ends may have a trace.
	Side Side

	// Data is what has happened: a pointer to one of the types that implement it.
	Data Data
}

// Data is the typed part of an [Event]: *[Record], *[Message], *[KeyChange], *[Alert],
// *[Timer], *[Retransmission], *[Drop], *[Path], *[Question], *[Answer], *[State],
// *[Completed], *[Failed] or *[End].
type Data interface {
	// Name returns the event's name in JSON and in logs, such as "record_sent".
	Name() string
}

// Side is a role in a connection.
type Side string

const (
	// Client is the side that sends the ClientHello.
	Client Side = "client"
	// Server is the side that answers it.
	Server Side = "server"
)

// Bytes are bytes that JSON and logs write in hexadecimal.
type Bytes []byte

// MarshalText returns the bytes in hexadecimal.
func (b Bytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, b), nil }

// UnmarshalText is the inverse of MarshalText.
func (b *Bytes) UnmarshalText(text []byte) error {
	v, err := hex.DecodeString(string(text))
	*b = v
	return err
}

// String returns the bytes in hexadecimal.
func (b Bytes) String() string { return hex.EncodeToString(b) }

// Record is a record that was sent, or that was received and not dropped.
type Record struct {
	// Sent says that we sent it. Otherwise we received it.
	Sent bool `json:"-"`

	// Type is the content type inside the protection, in the words of the RFC: "handshake",
	// "alert", "application_data", "change_cipher_spec", "ack", "return_routability_check".
	// "encrypted" is a record that somebody between the two sides could not decrypt.
	Type string `json:"type"`

	// Epoch counts the keys of that direction. In TLS 1.3, DTLS 1.3 and their early data: 0
	// unprotected, 1 early data, 2 the handshake's, 3 and more the application's (RFC
	// 9147bis, Section 6.1). In TLS 1.2 and DTLS 1.2: 0 and 1.
	Epoch uint64 `json:"epoch"`

	// Sequence is the record's sequence number under those keys.
	Sequence uint64 `json:"sequence_number"`

	// Length is the number of bytes on the wire, with header and protection.
	Length int `json:"length"`

	// DataLength is the number of bytes of content.
	DataLength int `json:"data_length"`

	// Offset is where the record begins in its datagram. Zero begins a datagram; over a
	// stream it is always zero.
	Offset int `json:"offset,omitempty"`

	// Fragments are the fragments of messages in a DTLS handshake record.
	Fragments []Fragment `json:"fragments,omitempty"`

	// Bytes are the record on the wire. JSON and logs leave them out.
	Bytes Bytes `json:"-"`
}

// Name returns "record_sent" or "record_received".
func (r *Record) Name() string { return sentOr(r.Sent, "record_sent", "record_received") }

// Fragment is a part of a handshake message in a DTLS record.
type Fragment struct {
	// Type is the message's type: see [Message].
	Type string `json:"message_type"`

	// Sequence is the message_seq of the message.
	Sequence uint16 `json:"message_seq"`

	// Offset is where the fragment begins in the message's body.
	Offset int `json:"fragment_offset"`

	// Length is the number of bytes of the fragment.
	Length int `json:"fragment_length"`

	// Total is the number of bytes of the message's body.
	Total int `json:"length"`
}

// Message is a whole handshake message, when it is queued to be sent, or when its turn has come
// after it was received. A retransmission is not another message.
type Message struct {
	// Sent says that we sent it. Otherwise we received it.
	Sent bool `json:"-"`

	// Type is the message's type in the RFC, such as "ClientHello". A ServerHello that is a
	// HelloRetryRequest is called so.
	Type string `json:"message_type"`

	// Epoch is the epoch of the keys that protect it: see [Record].
	Epoch uint64 `json:"epoch"`

	// Sequence is the message_seq. DTLS only.
	Sequence uint16 `json:"message_seq,omitempty"`

	// Length is the number of bytes of the message with its header of 4 bytes, the form that
	// it has over a stream.
	Length int `json:"length"`

	// Raw is the message. The ticket in a NewSessionTicket is zeros, since it stands for a
	// session. For a message of more than 64 KiB it is only the start.
	Raw Bytes `json:"raw,omitempty"`

	// Fields are the message's fields, in order. A message that does not parse has those
	// before the fault.
	Fields []Field `json:"fields,omitempty"`

	// Malformed says that the message does not parse.
	Malformed bool `json:"malformed,omitempty"`
}

// Name returns "message_sent" or "message_received".
func (m *Message) Name() string { return sentOr(m.Sent, "message_sent", "message_received") }

// Field returns the first field with the given names, one level after the other, or nil:
// Field("extensions", "key_share").
func (m *Message) Field(path ...string) *Field {
	f := Field{Fields: m.Fields}
	return f.Field(path...)
}

// A Field is a part of a message, and may have parts itself.
type Field struct {
	// Name is the field's name in the RFC, or of an extension: "cipher_suites",
	// "server_name". Elements of lists have the list's name in the singular.
	Name string `json:"name"`

	// Value is the content as a person reads it: a name with its number, quoted text, or
	// bytes in hexadecimal. It is empty if Fields say it.
	Value string `json:"value,omitempty"`

	// Offset is where the field begins in Message.Raw.
	Offset int `json:"offset"`

	// Length is the number of its bytes there. Zero means that the field was derived from
	// the bytes of the field that it is a part of.
	Length int `json:"length"`

	// Fields are its parts.
	Fields []Field `json:"fields,omitempty"`
}

// Field is like that of [Message].
func (f *Field) Field(path ...string) *Field {
next:
	for _, name := range path {
		for i := range f.Fields {
			if f.Fields[i].Name == name {
				f = &f.Fields[i]
				continue next
			}
		}
		return nil
	}
	return f
}

// Values returns the values of the parts of f. f may be nil.
func (f *Field) Values() (list []string) {
	if f == nil {
		return nil
	}
	for i := range f.Fields {
		list = append(list, f.Fields[i].Value)
	}
	return list
}

// KeyChange is the beginning of new keys for one direction.
type KeyChange struct {
	// Sent says that they are our sending keys. Otherwise they are for what we receive.
	Sent bool `json:"-"`

	// Secret is the label of the traffic secret that they were derived from, such as
	// "client_handshake_traffic_secret" (RFC 9846, Section 7.1), or in TLS 1.2 of the part of
	// the key block: "client_write_key". The secret itself is not in a trace.
	Secret string `json:"secret"`

	// Epoch is the new epoch: see [Record].
	Epoch uint64 `json:"epoch"`
}

// Name returns "sending_keys_changed" or "receiving_keys_changed".
func (k *KeyChange) Name() string {
	return sentOr(k.Sent, "sending_keys_changed", "receiving_keys_changed")
}

// Alert is an alert that was received, or that is sent next.
type Alert struct {
	// Sent says that we send it. Otherwise we received it.
	Sent bool `json:"-"`

	// Level is "warning" or "fatal".
	Level string `json:"level"`

	// Description is the alert in the words of the RFC, such as "handshake_failure".
	Description string `json:"description"`

	// Number is the alert's number.
	Number uint8 `json:"number"`
}

// Name returns "alert_sent" or "alert_received".
func (a *Alert) Name() string { return sentOr(a.Sent, "alert_sent", "alert_received") }

// Timer is a timer that was armed, or has expired, or was stopped. DTLS only.
type Timer struct {
	// Timer is "retransmission" for our flight, "acknowledgment" for an ACK that waits for
	// more records, and "peer" for the rest of the peer's flight.
	Timer string `json:"timer"`

	// Change is "armed", "expired" or "stopped".
	Change string `json:"event_type"`

	// Deadline is when an armed timer expires.
	Deadline time.Time `json:"deadline,omitzero"`
}

// Name returns "timer_updated".
func (*Timer) Name() string { return "timer_updated" }

// Retransmission says that our flight, or a part of it, is sent again with the next records.
// DTLS only.
type Retransmission struct {
	// Trigger is why: "timeout", "peer_repeats" or "partial_ack".
	Trigger string `json:"trigger"`

	// Attempt counts the timeouts in a row; 0 if no timeout is the reason.
	Attempt int `json:"attempt,omitempty"`
}

// Name returns "retransmission".
func (*Retransmission) Name() string { return "retransmission" }

// Drop is a record that was received and dropped.
type Drop struct {
	// Reason is one of the reasons of hermetic.RecordDrops in lower case, such as "forged",
	// or "early_data" for early data that a server skips.
	Reason string `json:"trigger"`

	// Length is the number of bytes on the wire. Zero means that the record was kept before.
	Length int `json:"length,omitempty"`

	// Offset is like that of [Record].
	Offset int `json:"offset,omitempty"`

	// Bytes are the record on the wire. JSON and logs leave them out.
	Bytes Bytes `json:"-"`
}

// Name returns "record_dropped".
func (*Drop) Name() string { return "record_dropped" }

// Path is a change of what is known of the network path, or of the connection IDs on it. DTLS
// only.
type Path struct {
	// Change says what has changed: "new_path" is a record that may come from a new address,
	// "changed" a new address that the peer has proved, "mtu" another size of the largest
	// datagram, "validated" an address that the peer has proved in the handshake, "local_cid"
	// another connection ID of ours, and "peer_cid" another one of the peer's.
	Change string `json:"event_type"`

	// MTU is the largest datagram, if Change is "mtu", in bytes.
	MTU int `json:"mtu,omitempty"`

	// ConnectionID is the connection ID, if Change names one.
	ConnectionID Bytes `json:"connection_id,omitempty"`
}

// Name returns "path_updated".
func (*Path) Name() string { return "path_updated" }

// Question is something that the handshake asks: which certificate, sign this, is the peer
// good.
type Question struct {
	// Question is "config", "certificate", "signature", "verdict", "session", "psk",
	// "resumption", "ticket" or "replay".
	Question string `json:"question"`

	// Async says that the caller is asked, with Engine.Pending, and the handshake waits.
	// Otherwise the Config has answered it.
	Async bool `json:"async,omitempty"`
}

// Name returns "question_asked".
func (*Question) Name() string { return "question_asked" }

// Answer is the answer to the last [Question].
type Answer struct {
	// Question is that of the Question.
	Question string `json:"question"`

	// Failed says that the answer ends the handshake.
	Failed bool `json:"failed,omitempty"`
}

// Name returns "question_answered".
func (*Answer) Name() string { return "question_answered" }

// State is a new state of the connection.
type State struct {
	// State is "started", "waiting", "complete", "closing" once our close_notify is queued,
	// or "closed" once the peer's has arrived.
	State string `json:"new"`

	// Expects are the types of the messages that a waiting handshake accepts next.
	Expects []string `json:"expects,omitempty"`
}

// Name returns "connection_state_updated".
func (*State) Name() string { return "connection_state_updated" }

// Completed is the end of a handshake that has succeeded, and what it has negotiated.
type Completed struct {
	// Version is "TLS 1.3", "TLS 1.2", "DTLS 1.3" or "DTLS 1.2".
	Version string `json:"version"`

	// CipherSuite is the cipher suite, such as "TLS_AES_128_GCM_SHA256".
	CipherSuite string `json:"cipher_suite"`

	// Group is the group of the key exchange, such as "X25519MLKEM768"; empty means none.
	Group string `json:"group,omitempty"`

	// ServerName is the server_name that the client sent, quoted.
	ServerName string `json:"server_name,omitempty"`

	// Protocol is the ALPN protocol, quoted; empty means none.
	Protocol string `json:"alpn,omitempty"`

	// LocalSignature is the scheme that we signed the handshake with; empty means none.
	LocalSignature string `json:"local_signature,omitempty"`

	// PeerSignature is the scheme that the peer signed the handshake with; empty means none.
	PeerSignature string `json:"peer_signature,omitempty"`

	// Resumed says that a session was resumed.
	Resumed bool `json:"resumed,omitempty"`

	// PSK says that an external PSK was used.
	PSK bool `json:"psk,omitempty"`

	// HelloRetryRequest says that the server sent one.
	HelloRetryRequest bool `json:"hello_retry_request,omitempty"`

	// EarlyData is "accepted" or "rejected"; empty means that none was offered.
	EarlyData string `json:"early_data,omitempty"`
}

// Name returns "handshake_completed".
func (*Completed) Name() string { return "handshake_completed" }

// Failed is the end of a connection that has failed.
type Failed struct {
	// Alert is the alert, such as "unknown_ca"; empty means that there was none, as after a
	// timeout.
	Alert string `json:"alert,omitempty"`

	// Received says that the peer sent the alert.
	Received bool `json:"received,omitempty"`

	// Cause is the error in words.
	Cause string `json:"reason"`
}

// Name returns "connection_failed".
func (*Failed) Name() string { return "connection_failed" }

// End is the last event of a trace that does not have the rest.
type End struct {
	// Reason is "limit" at the limit of a file. Of one connection that somebody between the
	// two sides saw, it is "encrypted" if the rest could not be decrypted, and "foreign" if it
	// is not TLS.
	Reason string `json:"trigger"`

	// Limit is the limit, in bytes; zero if that is not the reason.
	Limit int64 `json:"limit,omitempty"`
}

// Name returns "trace_ended".
func (*End) Name() string { return "trace_ended" }

// sentOr returns the name for the direction.
func sentOr(sent bool, out, in string) string {
	if sent {
		return out
	}
	return in
}
