package webrtctls_test

import (
	"crypto/tls"
	"fmt"
	"log"
	"net"

	"github.com/hermetic-tls/hermetic/webrtctls"
)

// sdp is what DTLS needs of a description.
type sdp struct {
	setup        webrtctls.Setup
	fingerprints []string // the values of a=fingerprint
}

func describe(cert tls.Certificate, setup webrtctls.Setup) sdp {
	print, err := webrtctls.NewFingerprint(cert.Leaf, 0)
	if err != nil {
		log.Fatal(err)
	}
	return sdp{setup, []string{print.String()}}
}

func connect(ice net.Conn, own tls.Certificate, local, remote sdp) *webrtctls.Conn {
	peer, err := webrtctls.ParseFingerprints(remote.fingerprints...)
	if err != nil {
		log.Fatal(err)
	}
	role, err := webrtctls.Role(local.setup, remote.setup)
	if err != nil {
		log.Fatal(err)
	}
	return webrtctls.New(ice, role, webrtctls.NewConfig(own, peer...))
}

// An offer and its answer, as far as DTLS is concerned, and the connection that follows. The
// net.Pipe is in the place of ICE.
func Example() {
	alice, err := webrtctls.NewCertificate()
	if err != nil {
		log.Fatal(err)
	}
	bob, err := webrtctls.NewCertificate()
	if err != nil {
		log.Fatal(err)
	}
	offer := describe(alice, webrtctls.SetupActPass)
	answer := describe(bob, offer.setup.Answer())

	aliceICE, bobICE := net.Pipe()
	a := connect(aliceICE, alice, offer, answer)
	b := connect(bobICE, bob, answer, offer)

	go b.Write([]byte("hello"))
	buf := make([]byte, 1500)
	n, err := a.Read(buf)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("the %v reads %q\n", a.State().Mode, buf[:n])
	// Output:
	// the dtls-server reads "hello"
}

// A peer may announce fingerprints with hash functions that are too weak: those do not count.
func ExampleParseFingerprints() {
	prints, err := webrtctls.ParseFingerprints(
		"sha-1 02:1A:CC:54:27:AB:EB:9C:53:3F:3E:4B:65:2E:7D:46:3F:54:42:CD",
		"sha-256 12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD",
	)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(prints), "can be used:", prints[0].String()[:19])
	_, err = webrtctls.ParseFingerprints("md5 00:11:22")
	fmt.Println(err)
	// Output:
	// 1 can be used: sha-256 12:DF:3E:5D
	// webrtctls: a fingerprint with "md5": the hash function is not one of sha-224, sha-256, sha-384 and sha-512
}

func ExampleRole() {
	offer := webrtctls.SetupActPass // from the peer
	answer := offer.Answer()
	role, err := webrtctls.Role(answer, offer)
	fmt.Println(answer, role, err)
	// Output:
	// active dtls-client <nil>
}
