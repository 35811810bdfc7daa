//go:build cmodule

// Command cmodule is the Lua module mbedtls for PUC Lua and LuaJIT: one shared
// library for each Lua version, made by scripts/install-lua with
// -buildmode=c-shared and the version's headers. The C files are Lua's side;
// this file exports the functions that they call.
//
// No exported function ever calls back into C.
package main

/*
#cgo CFLAGS: -std=gnu99 -Wall -Wextra
#cgo linux LDFLAGS: -Wl,--unresolved-symbols=ignore-all
#cgo darwin LDFLAGS: -Wl,-undefined,dynamic_lookup
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

// config is the value of a handle of ssl.newconfig.
type config struct {
	mode   hermetic.Mode
	config *hermetic.Config
}

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
	pinner runtime.Pinner
}

var live sync.Map // of *session

func of(s C.session) *session { return (*session)(s) }

//export hermetic_step
func hermetic_step(c *C.struct_step) {
	st := mbedtls.Step{
		Op:      mbedtls.Op(c.op),
		Head:    view(c.head),
		Body:    view(c.body),
		Taken:   int(c.taken),
		Settled: c.settled != 0,
		Refused: c.refused != 0,
		Out:     room(c.out, C.MAX_OUT),
	}
	if st.Op == mbedtls.Write || st.Op == mbedtls.WriteEarly {
		st.Data = view(c.write)
	} else {
		st.Data = room(c.read, c.readlen)
	}
	of(c.session).Step(&st)
	c.status = C.int(st.Status)
	c.n, c.whole = C.size_t(st.N), C.size_t(st.Whole)
	if st.Status == mbedtls.Failed {
		c.n = C.size_t(copy(st.Out[:C.MAX_TEXT], st.Text))
	}
	if st.Drained {
		c.drained = 1
	}
}

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
	options := cgo.Handle(h).Value().(*mbedtls.Options)
	c, err := options.Config()
	if err == nil {
		*result = C.handle(cgo.NewHandle(&config{options.Mode(), c}))
	}
	return text(err, out)
}

//export hermetic_mode
func hermetic_mode(h C.handle) C.int {
	return C.int(cgo.Handle(h).Value().(*config).mode - hermetic.TLSClient)
}

//export hermetic_session
func hermetic_session(h C.handle, result *C.session, out *C.char) C.size_t {
	c := cgo.Handle(h).Value().(*config)
	s := new(session)
	err := s.Init(c.mode, c.config)
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

//export hermetic_info
func hermetic_info(s C.session, out *C.char, n C.size_t) C.size_t {
	account := appendFields(nil, of(s).Info())
	copy(room(out, n), account)
	return C.size_t(len(account))
}

// appendFields writes fields as push_info in context.c reads them.
func appendFields(b []byte, fields []mbedtls.Field) []byte {
	for _, f := range fields {
		switch value := f.Value.(type) {
		case string:
			b = append(append(append(b, 's'), f.Key...), 0)
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(value))), value...)
		case bool:
			b = append(append(append(b, 'b'), f.Key...), 0, 0)
			if value {
				b[len(b)-1] = 1
			}
		case []mbedtls.Field:
			b = append(append(append(b, '{'), f.Key...), 0)
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
	if mbedtls.CheckCookie(view(peer), view(cookie)) {
		return 1
	}
	return 0
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
