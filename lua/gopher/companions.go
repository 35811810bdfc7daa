package gopher

import (
	"encoding/hex"

	lua "github.com/yuin/gopher-lua"

	"github.com/hermetic-tls/hermetic/lua/internal/mbedtls"
)

func openMD(L *lua.LState) int {
	_, n := open(L, "md", map[string]lua.LGFunction{"hash": mdHash, "hmac": mdHMAC})
	return n
}

func mdHash(L *lua.LState) int {
	a := arguments{L, "hash", false}
	kind, data := a.text(1), a.text(2)
	sum, err := mbedtls.Hash(nil, kind, []byte(data))
	return digest(a, sum, err, 3)
}

func mdHMAC(L *lua.LState) int {
	a := arguments{L, "hmac", false}
	kind, key, data := a.text(1), a.text(2), a.text(3)
	sum, err := mbedtls.HMAC(nil, kind, []byte(key), []byte(data))
	return digest(a, sum, err, 4)
}

// digest returns a digest: raw, if argument n says so.
func digest(a arguments, sum []byte, err error, n int) int {
	if err != nil {
		a.bad(1, mbedtls.Text(err))
	}
	if lua.LVAsBool(a.L.Get(n)) {
		a.L.Push(lua.LString(sum))
	} else {
		a.L.Push(lua.LString(hex.EncodeToString(sum)))
	}
	return 1
}

func openBase64(L *lua.LState) int {
	_, n := open(L, "base64", map[string]lua.LGFunction{"encode": base64Encode, "decode": base64Decode})
	return n
}

func base64Encode(L *lua.LState) int {
	a := arguments{L, "encode", false}
	L.Push(lua.LString(mbedtls.EncodeBase64(a.part(1))))
	return 1
}

func base64Decode(L *lua.LState) int {
	a := arguments{L, "decode", false}
	data, err := mbedtls.DecodeBase64(a.part(1))
	if err != nil {
		a.bad(1, mbedtls.Text(err))
	}
	L.Push(lua.LString(data))
	return 1
}
