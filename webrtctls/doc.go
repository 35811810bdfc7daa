// Package webrtctls is the DTLS of WebRTC, 1.2 and 1.3, with ICE below it, and SCTP and SRTP
// above. It is made for github.com/pion/ice, pion/sctp and pion/srtp, but ICE may be any net.Conn
// that keeps datagrams apart.
//
// An endpoint makes a certificate ([NewCertificate]) and announces its [Fingerprint] and a
// [Setup] in its SDP. From the peer's SDP it reads the same ([ParseFingerprints], [ParseSetup]),
// and with them it knows its [Role] and its [NewConfig]. When ICE has connected, [New] runs DTLS
// over it: a [Conn] carries the data of SCTP, and beside it the packets of [Conn.SRTP] and
// [Conn.SRTCP], with the keys of [Conn.SRTPConfig].
package webrtctls
