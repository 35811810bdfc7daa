//go:build cmodule

// Command cengine is the engine of the Lua module mbedtls for PUC Lua and LuaJIT: a shared
// library, made by scripts/install-lua with -buildmode=c-shared, that the module in ../cmodule
// loads at its first use. It exports the functions of bridge.h, and knows no Lua: one serves all
// versions.
//
// No exported function ever calls back into C.
package main

/*
#cgo CFLAGS: -std=gnu99 -Wall -Wextra -I${SRCDIR}/../cmodule
#include "bridge.h"
*/
import "C"

import (
	"encoding/binary"
	"runtime"
	"runtime/cgo"
	"sync"
	"unsafe"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/lua/internal/mbedtls"
)

func main() {}

// view returns C's bytes as a slice, valid during a call.
func view(b C.bytes) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(b.at)), b.len) }

func room(at *C.char, n C.size_t) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(at)), n) }

// text writes an error's text for C, or nothing if there is no error.
func text(err error, out *C.char) C.size_t {
	if err == nil {
		return 0
	}
	return C.size_t(copy(room(out, C.MAX_TEXT), mbedtls.Text(err)))
}

// session is the value of a context of ssl.newcontext. Until Lua collects the
// context it is pinned, so that C may keep the pointer, and live keeps it alive.
// A cgo Handle would work, but costs a lookup for every record.
type session struct {
	mbedtls.Session
	step   mbedtls.Step
	pinner runtime.Pinner
}

var live sync.Map // of *session

func of(s C.session) *session { return (*session)(s) }

//export hermetic_step
func hermetic_step(h C.session, c *C.struct_step) {
	s := of(h)
	st := &s.step
	st.Op, st.Begin, st.Size = mbedtls.Op(c.op), c.begin != 0, int(c.size)
	st.Data, st.Head, st.Body = view(c.data), int(c.head), view(c.body)
	st.In, st.Out = room(c.in, C.MAX_RECORD), room(c.out, C.MAX_OUTPUT)
	s.Step(st)
	c.status, c.n, c.at = C.int(st.Status), C.size_t(st.N), 0
	switch {
	case st.Status == mbedtls.Failed:
		c.n = C.size_t(copy(st.In[:C.MAX_TEXT], st.Text))
	case len(st.Result) > 0:
		c.at = C.size_t(uintptr(unsafe.Pointer(&st.Result[0])) - uintptr(unsafe.Pointer(c.in)))
	}
	c.output, c.ready = C.size_t(len(st.Output)), C.size_t(st.Ready)
}

//export hermetic_unsent
func hermetic_unsent(s C.session, op C.int, rest C.bytes) C.int {
	return truth(of(s).Unsent(mbedtls.Op(op), view(rest)))
}

func truth(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

//export hermetic_question
func hermetic_question(s C.session, function *C.char, chosen *C.int, out *C.char, n C.size_t) C.size_t {
	name, argument, other := of(s).Question()
	copy(room(function, 32), name+"\x00")
	*chosen = truth(other)
	return write(appendFields(nil, argument), out, n)
}

//export hermetic_answer
func hermetic_answer(s C.session, a *C.struct_answer, out *C.char) C.size_t {
	var value any
	reason := ""
	switch a._type {
	case C.ANSWER_BOOLEAN:
		value, reason = a.truth != 0, string(view(a.text))
	case C.ANSWER_STRING:
		value = string(view(a.text))
	case C.ANSWER_CONFIG:
		value = cgo.Handle(a.config).Value()
	}
	return text(of(s).Answer(value, reason), out)
}

//export hermetic_feed
func hermetic_feed(s C.session, data C.bytes, out *C.char) C.size_t {
	return text(of(s).Feed(view(data)), out)
}

//export hermetic_drain
func hermetic_drain(s C.session, out *C.char, n C.size_t, more *C.int) C.size_t {
	k, left := of(s).Drain(room(out, n))
	*more = truth(left)
	return C.size_t(k)
}

//export hermetic_pending
func hermetic_pending(s C.session) C.size_t { return C.size_t(of(s).Pending()) }

//export hermetic_options
func hermetic_options(table C.int) C.handle {
	return C.handle(cgo.NewHandle(&mbedtls.Options{Table: table != 0}))
}

//export hermetic_option
func hermetic_option(h C.handle, key, luaType, value C.bytes, out *C.char) C.size_t {
	options := cgo.Handle(h).Value().(*mbedtls.Options)
	return text(options.Set(string(view(key)), string(view(luaType)), string(view(value))), out)
}

//export hermetic_config
func hermetic_config(h C.handle, result *C.handle, out *C.char) C.size_t {
	c, err := cgo.Handle(h).Value().(*mbedtls.Options).Config()
	if err == nil {
		*result = C.handle(cgo.NewHandle(c))
	}
	return text(err, out)
}

func configOf(h C.handle) *mbedtls.Config { return cgo.Handle(h).Value().(*mbedtls.Config) }

//export hermetic_mode
func hermetic_mode(h C.handle) C.int { return C.int(configOf(h).Mode() - hermetic.TLSClient) }

//export hermetic_session
func hermetic_session(h C.handle, fed C.int, result *C.session, out *C.char) C.size_t {
	s := new(session)
	err := s.Init(configOf(h), fed != 0)
	if err == nil {
		live.Store(s, nil)
		s.pinner.Pin(s)
		*result = C.session(unsafe.Pointer(s))
	}
	return text(err, out)
}

//export hermetic_free_session
func hermetic_free_session(s C.session) {
	of(s).pinner.Unpin()
	live.Delete(of(s))
}

//export hermetic_reset
func hermetic_reset(s C.session, out *C.char) C.size_t { return text(of(s).Reset(), out) }

//export hermetic_peer_id
func hermetic_peer_id(s C.session, id C.bytes, out *C.char) C.size_t {
	return text(of(s).SetPeerID(append([]byte{}, view(id)...)), out)
}

//export hermetic_server_name
func hermetic_server_name(s C.session, name C.bytes, out *C.char) C.size_t {
	return text(of(s).SetServerName(string(view(name))), out)
}

//export hermetic_timeout
func hermetic_timeout(s C.session) C.double {
	if d, ok := of(s).Timeout(); ok {
		return C.double(max(d.Seconds(), 0))
	}
	return -1
}

//export hermetic_export
func hermetic_export(s C.session, label C.bytes, context *C.bytes, secret *C.char, n C.size_t, out *C.char) C.size_t {
	var with []byte
	if context != nil {
		with = append([]byte{}, view(*context)...)
	}
	key, err := of(s).Export(string(view(label)), with, int(n))
	copy(room(secret, n), key)
	if err != nil {
		err = hermetic.ErrInvalidOperation
	}
	return text(err, out)
}

//export hermetic_set_session
func hermetic_set_session(s C.session, saved C.bytes, out *C.char) C.size_t {
	return text(of(s).SetSession(view(saved)), out)
}

//export hermetic_verify_peer
func hermetic_verify_peer(s C.session, name C.bytes, out *C.char) C.size_t {
	return text(of(s).VerifyPeer(string(view(name))), out)
}

//export hermetic_verify_chain
func hermetic_verify_chain(chain, authorities C.bytes, out *C.char) C.size_t {
	return text(mbedtls.VerifyChain(view(chain), view(authorities)), out)
}

// write writes what there is to say, if there is room for all of it.
func write(said []byte, out *C.char, n C.size_t) C.size_t {
	if len(said) <= int(n) {
		copy(room(out, n), said)
	}
	return C.size_t(len(said))
}

//export hermetic_describe
func hermetic_describe(s C.session, what C.int, text C.bytes, out *C.char, n C.size_t) C.size_t {
	var said []byte
	switch what {
	case C.INFO:
		said = appendFields(nil, of(s).Info())
	case C.CHAIN:
		said = appendFields(nil, of(s).Chain())
	case C.SESSION:
		said, _ = of(s).SavedSession()
	case C.CERTIFICATE:
		fields, err := mbedtls.ParseCertificate(view(text))
		if said = appendFields(nil, fields); err != nil {
			said = []byte("e" + mbedtls.Text(err))
		}
	}
	return write(said, out, n)
}

// appendFields writes fields as push_fields in context.c reads them.
func appendFields(b []byte, fields []mbedtls.Field) []byte {
	for _, f := range fields {
		start := len(b)
		b = append(append(append(b, 0), f.Key...), 0)
		switch value := f.Value.(type) {
		case string:
			b[start] = 's'
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(value))), value...)
		case int:
			b[start] = 'n'
			b = binary.BigEndian.AppendUint64(b, uint64(value))
		case bool:
			b[start] = 'b'
			b = append(b, byte(truth(value)))
		case []mbedtls.Field:
			b[start] = '{'
			b = append(appendFields(b, value), '}')
		}
	}
	return b
}

//export hermetic_free
func hermetic_free(h C.handle) { cgo.Handle(h).Delete() }

//export hermetic_cookie
func hermetic_cookie(peer C.bytes, out *C.char) C.size_t {
	return C.size_t(copy(room(out, C.MAX_TEXT), mbedtls.Cookie(view(peer))))
}

//export hermetic_check_cookie
func hermetic_check_cookie(peer, cookie C.bytes) C.int {
	return truth(mbedtls.CheckCookie(view(peer), view(cookie)))
}

//export hermetic_digest
func hermetic_digest(kind C.bytes, key *C.bytes, data C.bytes, out *C.char) C.ptrdiff_t {
	var sum []byte
	var err error
	dst := room(out, C.MAX_DIGEST)[:0]
	if key == nil {
		sum, err = mbedtls.Hash(dst, string(view(kind)), view(data))
	} else {
		sum, err = mbedtls.HMAC(dst, string(view(kind)), view(*key), view(data))
	}
	if err != nil {
		return -1
	}
	return C.ptrdiff_t(len(sum))
}

//export hermetic_base64
func hermetic_base64(decode C.int, data C.bytes, out *C.char) C.ptrdiff_t {
	result, err := mbedtls.EncodeBase64(view(data)), error(nil)
	if decode != 0 {
		result, err = mbedtls.DecodeBase64(view(data))
	}
	if err != nil {
		return -1
	}
	return C.ptrdiff_t(copy(room(out, C.size_t(len(result))), result))
}

var version = C.CString(mbedtls.Version)

//export hermetic_version
func hermetic_version() *C.char { return version }
