package mbedtls

import (
	"crypto/rand"
	"sync"

	"github.com/hermetic-tls/hermetic"
)

// cookies is the configuration of ssl.getcookie and ssl.checkcookie. The process
// has one secret: any context verifies the cookies of any other.
var cookies = sync.OnceValue(func() *hermetic.Config {
	return &hermetic.Config{DTLS: hermetic.DTLSConfig{CookieSecret: cookieSecret()}}
})

// cookieSecret is the secret of all cookies in this process.
var cookieSecret = sync.OnceValue(func() []byte {
	secret := make([]byte, 32)
	rand.Read(secret)
	return secret
})

// Cookie is ssl.getcookie.
func Cookie(peerID []byte) []byte { return cookies().Cookie(peerID) }

// CheckCookie is ssl.checkcookie.
func CheckCookie(peerID, cookie []byte) bool { return cookies().CheckCookie(peerID, cookie) }
