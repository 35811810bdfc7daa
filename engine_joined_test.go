package hermetic

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"slices"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// joinings are what a transport that joins datagrams makes of those of a flight.
var joinings = []struct {
	name string
	join func(datagrams [][]byte) []byte
}{
	{"in order", func(d [][]byte) []byte { return bytes.Join(d, nil) }},
	{"in reverse order", func(d [][]byte) []byte {
		slices.Reverse(d)
		return bytes.Join(d, nil)
	}},
	{"twice", func(d [][]byte) []byte { return bytes.Repeat(bytes.Join(d, nil), 2) }},
	{"with an alert before them", func(d [][]byte) []byte {
		return append([]byte{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 2, 1, 90}, bytes.Join(d, nil)...)
	}},
	{"with half a record after them", func(d [][]byte) []byte {
		return append(bytes.Join(d, nil), 22, 0xfe, 0xfd, 0, 0)
	}},
	{"two fragments in a record", oneRecord},
}

// oneRecord puts the content of unencrypted handshake records into one.
func oneRecord(datagrams [][]byte) []byte {
	var body, rest []byte
	number := record.Number{}
	for _, d := range datagrams {
		for len(d) > 0 {
			r, n, ok := record.ParseClassic(d, 0)
			if ok && r.Type == record.Handshake && r.Number.Epoch == 0 {
				body, number = append(body, r.Body...), r.Number
			} else {
				rest = append(rest, d...)
				break
			}
			d = d[n:]
		}
	}
	if len(body) == 0 {
		return rest
	}
	return append(appendClear(nil, record.Handshake, number, body), rest...)
}

// TestJoinedDatagrams: nothing depends on a datagram being one record, or a message
// being one datagram. Each handshake completes without a retransmission.
func TestJoinedDatagrams(t *testing.T) {
	for _, version := range versions {
		for _, cookies := range []bool{false, true} {
			for _, mtu := range []int{0, 300} {
				for _, joining := range joinings {
					name := fmt.Sprintf("%s/cookies %v/MTU %d/%s", tls.VersionName(version), cookies, mtu, joining.name)
					t.Run(name, func(t *testing.T) {
						n := newNetwork(t, func(c, s *Config) {
							c.MaxVersion, c.DTLS.MTU, s.DTLS.MTU = version, mtu, mtu
							s.DTLS.TrustAddress = !cookies
						})
						if err := n.runJoined(cookies, joining.join); err != nil {
							t.Fatal(err)
						}
						n.exchangeDatagrams()
					})
				}
			}
		}
	}
}

// runJoined completes a handshake over a transport that joins all that is sent at
// once. No time passes.
func (n *meeting) runJoined(cookies bool, join func([][]byte) []byte) error {
	welcome := !cookies
	for range 20 {
		if in := joined(n.client, join); welcome && len(in) > 0 {
			if err := n.give(n.server, in); err != nil {
				return err
			}
		} else if len(in) > 0 {
			var answer []byte
			if answer, welcome = n.server.plan.cfg.AnswerHello(nil, []byte("a"), in); welcome {
				if err := n.server.SetPeerID([]byte("a")); err != nil {
					return err
				}
				if err := n.give(n.server, in); err != nil {
					return err
				}
			} else if err := n.give(n.client, answer); err != nil {
				return err
			}
		}
		if in := joined(n.server, join); welcome && len(in) > 0 {
			if err := n.give(n.client, in); err != nil {
				return err
			}
		}
		if n.client.HandshakeComplete() && n.server.HandshakeComplete() {
			return nil
		}
	}
	return fmt.Errorf("no progress: the client is complete: %v, the server: %v", n.client.HandshakeComplete(), n.server.HandshakeComplete())
}

// joined is all that e has to send, joined.
func joined(e *Engine, join func([][]byte) []byte) []byte {
	var datagrams [][]byte
	for d := e.Output(nil); len(d) > 0; d = e.Output(nil) {
		datagrams = append(datagrams, d)
	}
	if len(datagrams) == 0 {
		return nil
	}
	return join(datagrams)
}

// TestFindHello: what of a datagram is a ClientHello, and which of two counts.
func TestFindHello(t *testing.T) {
	fragment := func(seq uint16, length, offset int, data string) []byte {
		h := wire.FragmentHeader{Type: wire.TypeClientHello, Seq: seq, Length: length, Offset: offset, FragmentLength: len(data)}
		return append(h.Append(nil), data...)
	}
	records := func(bodies ...[]byte) (datagram []byte) {
		for i, body := range bodies {
			datagram = append(datagram, appendClear(nil, record.Handshake, record.Number{Sequence: uint64(i)}, body)...)
		}
		return datagram
	}
	for _, test := range []struct {
		name     string
		datagram []byte
		seq      uint16
		number   uint64
		start    string // empty: nothing is found
	}{
		{"a whole one", records(fragment(0, 4, 0, "abcd")), 0, 0, "abcd"},
		{"two records", records(fragment(0, 4, 0, "ab"), fragment(0, 4, 2, "cd")), 0, 0, "abcd"},
		{"two fragments of a record", records(append(fragment(0, 4, 0, "ab"), fragment(0, 4, 2, "cd")...)), 0, 0, "abcd"},
		{"the last part first", records(fragment(0, 4, 2, "cd"), fragment(0, 4, 0, "ab")), 0, 1, "abcd"},
		{"parts that overlap", records(fragment(0, 4, 0, "abc"), fragment(0, 4, 1, "bcd")), 0, 0, "abcd"},
		{"twice", records(fragment(0, 4, 0, "abcd"), fragment(0, 4, 0, "abcd")), 0, 0, "abcd"},
		{"a gap", records(fragment(0, 4, 0, "a"), fragment(0, 4, 2, "cd")), 0, 0, "a"},
		{"no start", records(fragment(0, 4, 1, "bcd")), 0, 0, ""},
		{"an empty start", records(fragment(0, 4, 0, "")), 0, 0, ""},
		{"the newer one after the older", records(fragment(0, 2, 0, "ab"), fragment(1, 2, 0, "cd")), 1, 1, "cd"},
		{"the newer one before the older", records(fragment(1, 2, 0, "cd"), fragment(0, 2, 0, "ab")), 1, 0, "cd"},
		{"parts of different length", records(fragment(0, 4, 0, "ab"), fragment(0, 5, 2, "cd")), 0, 0, "ab"},
		{"garbage", []byte("GET / HTTP/1.1\r\n\r\n"), 0, 0, ""},
		{"nothing", nil, 0, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := bytes.Clone(test.datagram)
			h, ok := findHello(test.datagram)
			if ok != (test.start != "") || string(h.start) != test.start || ok && (h.seq != test.seq || h.number.Sequence != test.number) {
				t.Errorf("%v, %q of hello %d in record %d", ok, h.start, h.seq, h.number.Sequence)
			}
			if !bytes.Equal(test.datagram, before) {
				t.Error("the datagram has changed")
			}
		})
	}
}

// TestJoinedAcrossTheHellos: a hello that comes again with its successor is answered
// as the successor.
func TestJoinedAcrossTheHellos(t *testing.T) {
	for _, version := range versions {
		n := newNetwork(t, func(c, s *Config) { c.MaxVersion, s.DTLS.TrustAddress = version, false })
		first := bytes.Clone(n.client.Output(nil))
		answer, ok := n.server.plan.cfg.AnswerHello(nil, []byte("a"), first)
		if ok || len(answer) == 0 {
			t.Fatal("the first hello has no answer")
		}
		if err := n.give(n.client, answer); err != nil {
			t.Fatal(err)
		}
		in := append(bytes.Clone(first), n.client.Output(nil)...)
		if _, ok := n.server.plan.cfg.AnswerHello(nil, []byte("a"), in); !ok {
			t.Fatalf("%s: the second hello is not found after the first", tls.VersionName(version))
		}
		if err := n.server.SetPeerID([]byte("a")); err != nil {
			t.Fatal(err)
		}
		if err := n.give(n.server, in); err != nil {
			t.Fatal(err)
		}
		if err := n.wait(); err != nil || n.now != pkitest.Now {
			t.Errorf("%s: %v, after %v", tls.VersionName(version), err, n.now.Sub(pkitest.Now))
		}
	}
}

// TestStrangersFragments: a stranger's hello in a thousand fragments costs memory for its
// bytes, not for each fragment with all before it. The datagram stays as it is.
func TestStrangersFragments(t *testing.T) {
	_, server := configs(t)
	var body []byte
	for i := range 1200 {
		h := wire.FragmentHeader{Type: wire.TypeClientHello, Length: 1 << 14, Offset: i, FragmentLength: 1}
		body = append(h.Append(body), byte(i))
	}
	datagram := appendClear(nil, record.Handshake, record.Number{}, body)
	before := bytes.Clone(datagram)
	n := testing.AllocsPerRun(10, func() {
		if _, ok := server.AnswerHello(nil, []byte("a"), datagram); ok {
			t.Fatal("it has shown a cookie")
		}
	})
	if n > 100 {
		t.Errorf("%v allocations", n)
	}
	if !bytes.Equal(datagram, before) {
		t.Error("the datagram has changed")
	}
}
