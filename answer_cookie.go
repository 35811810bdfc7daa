package hermetic

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"
)

// cookieJar makes the cookies of handshakes for a peer.
type cookieJar struct {
	cfg    *Config
	peerID []byte
	now    time.Time // when the ClientHello's first datagram arrived; cookies are judged at that time
}

// Seal returns the time, the content, and a MAC over both, bound and the peer.
func (j *cookieJar) Seal(content, bound []byte) []byte {
	return j.seal(j.cfg.cookieSecrets()[0], content, bound, j.now)
}

func (j *cookieJar) seal(secret, content, bound []byte, made time.Time) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(made.Unix()))
	b = append(b, content...)
	mac := hmac.New(sha256.New, cookieKey(secret, "handshake", made))
	for _, part := range [][]byte{b, bound, j.peerID} {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		mac.Write(part)
	}
	return append(b, mac.Sum(nil)[:handshakeMAC]...)
}

// Open returns the content of a cookie that is good.
func (j *cookieJar) Open(cookie, bound []byte) (content []byte, ok bool) {
	if len(cookie) < cookieTime+handshakeMAC {
		return nil, false
	}
	made := time.Unix(int64(binary.BigEndian.Uint32(cookie)), 0)
	age := j.now.Sub(made)
	if age < -cookieLife || age > helloLife {
		return nil, false
	}
	content = cookie[cookieTime : len(cookie)-handshakeMAC]
	return content, slices.ContainsFunc(j.cfg.cookieSecrets(), func(secret []byte) bool {
		return hmac.Equal(cookie, j.seal(secret, content, bound, made))
	})
}
