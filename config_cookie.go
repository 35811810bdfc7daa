package hermetic

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"time"
)

const (
	// cookieLife is how long a cookie is valid.
	cookieLife = time.Minute
	// helloLife is how long a handshake's cookie is valid: a ClientHello may be
	// retransmitted for two minutes.
	helloLife = 3 * time.Minute
	// cookieTime and cookieMAC are the sizes of a cookie's parts, in bytes: in
	// Base64, 44 characters.
	cookieTime, cookieMAC = 4, 28
	// handshakeMAC is the size of the MAC in a handshake's cookie.
	handshakeMAC = 16
	// cookieRotation is how long one key makes cookies. A cookie says when it
	// was made, and so which key made it.
	cookieRotation = time.Hour
	// minCookieSecret is the smallest size of a secret, in bytes.
	minCookieSecret = 16
)

// Cookie returns a cookie for a peer's identity on the transport, such as its address: a peer
// that returns it can receive there. It is for other protocols over UDP; handshakes have
// their own cookies, under other keys: see [Config.AnswerHello]. The result is 44
// characters of Base64.
func (c *Config) Cookie(peerID []byte) []byte {
	return base64.StdEncoding.AppendEncode(nil, c.cookie(c.cookieSecrets()[0], peerID, c.now()))
}

// CheckCookie reports whether cookie was made by [Config.Cookie] for peerID within the last minute,
// by this Config or one with the same secret.
func (c *Config) CheckCookie(peerID, cookie []byte) bool {
	if len(cookie) != base64.StdEncoding.EncodedLen(cookieTime+cookieMAC) {
		return false
	}
	raw, err := base64.StdEncoding.Strict().AppendDecode(nil, cookie)
	if err != nil || len(raw) != cookieTime+cookieMAC {
		return false
	}
	made := time.Unix(int64(binary.BigEndian.Uint32(raw)), 0)
	age := c.now().Sub(made)
	if age < -cookieLife || age > cookieLife {
		return false
	}
	return slices.ContainsFunc(c.cookieSecrets(), func(secret []byte) bool {
		return hmac.Equal(raw, c.cookie(secret, peerID, made))
	})
}

// cookie returns the cookie made at that second: the time, and a MAC over it and the
// identity.
func (c *Config) cookie(secret, peerID []byte, made time.Time) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(made.Unix()))
	mac := hmac.New(sha256.New, cookieKey(secret, "cookie API", made))
	mac.Write(b)
	mac.Write(peerID)
	return append(b, mac.Sum(nil)[:cookieMAC]...)
}

// cookieKey returns the key for a purpose at a time.
func cookieKey(secret []byte, purpose string, at time.Time) []byte {
	info := binary.BigEndian.AppendUint64([]byte(purpose+" "), uint64(at.Unix()/int64(cookieRotation.Seconds())))
	key, err := hkdf.Expand(sha256.New, secret, string(info), sha256.Size)
	if err != nil {
		panic(err) // the size is right
	}
	return key
}

// cookieSecrets returns the accepted secrets: the first makes cookies.
func (c *Config) cookieSecrets() (secrets [][]byte) {
	if c.DTLS.GetCookieSecrets != nil {
		for _, secret := range c.DTLS.GetCookieSecrets() {
			if len(secret) >= minCookieSecret {
				secrets = append(secrets, hashed(secret))
			}
		}
	}
	if len(secrets) == 0 {
		secrets = [][]byte{c.cookieSecret()}
	}
	return secrets
}

// cookieSecret returns the configured secret, or a random one made at first use.
func (c *Config) cookieSecret() []byte {
	if c.DTLS.CookieSecret != nil {
		return hashed(c.DTLS.CookieSecret)
	}
	return c.shared().cookieSecret(c.random())
}

func hashed(secret []byte) []byte {
	sum := sha256.Sum256(secret)
	return sum[:]
}
