package mbedtls

import (
	"crypto/rand"
	"sync"

	"github.com/hermetic-tls/hermetic"
)

// cookieKey is the secret of all cookies in this process: those of ssl.getcookie
// and those of DTLS handshakes under any configuration.
var cookieKey = sync.OnceValue(func() []byte {
	key := make([]byte, 32)
	rand.Read(key)
	return key
})

// cookies is the configuration behind ssl.getcookie and ssl.checkcookie.
var cookies = sync.OnceValue(func() any {
	return &hermetic.Config{}
})

type cookieJar interface {
	Cookie(peerID []byte) []byte
	CheckCookie(peerID, cookie []byte) bool
}

// Cookie is ssl.getcookie.
func Cookie(peerID []byte) []byte {
	jar, ok := cookies().(cookieJar)
	if !ok {
		return nil
	}
	return EncodeBase64(jar.Cookie(peerID))
}

// CheckCookie is ssl.checkcookie.
func CheckCookie(peerID, cookie []byte) bool {
	jar, ok := cookies().(cookieJar)
	raw, err := DecodeBase64(cookie)
	return ok && err == nil && jar.CheckCookie(peerID, raw)
}
