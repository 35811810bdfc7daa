package hermetic_test

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"log"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/hermetic-tls/hermetic"
)

// move opens everything that from has for to.
func move(from, to *hermetic.Engine) {
	for in := from.Output(nil); len(in) > 0; {
		o, err := to.Open(in)
		if err != nil {
			log.Fatal(err)
		}
		in = in[o.N:]
	}
}

// Two engines and no network: a whole handshake and a message.
func ExampleEngine() {
	server, err := hermetic.NewEngine(hermetic.TLSServer, &hermetic.Config{}) // with its own certificate
	if err != nil {
		log.Fatal(err)
	}
	client, err := hermetic.NewEngine(hermetic.TLSClient, &hermetic.Config{InsecureSkipVerify: true})
	if err != nil {
		log.Fatal(err)
	}
	for !client.HandshakeComplete() || !server.HandshakeComplete() {
		move(client, server)
		move(server, client)
	}
	sealed, err := client.Seal(nil, []byte("hello"))
	if err != nil {
		log.Fatal(err)
	}
	opened, err := server.Open(sealed) // decrypted in place
	fmt.Printf("%s, %v, %s\n", opened.Data, err, tls.VersionName(server.State().Version))
	// Output: hello, <nil>, TLS 1.3
}

// A header and a body are sealed without joining them, and many small records are opened with one
// call.
func ExampleEngine_OpenAll() {
	server, err := hermetic.NewEngine(hermetic.TLSServer, &hermetic.Config{})
	if err != nil {
		log.Fatal(err)
	}
	client, err := hermetic.NewEngine(hermetic.TLSClient, &hermetic.Config{InsecureSkipVerify: true})
	if err != nil {
		log.Fatal(err)
	}
	for !client.HandshakeComplete() || !server.HandshakeComplete() {
		move(client, server)
		move(server, client)
	}
	in, err := client.SealBuffers(nil, [][]byte{[]byte("header, "), []byte("body")})
	for _, word := range []string{"; more", " and", " more"} {
		if err == nil {
			in, err = client.Seal(in, []byte(word))
		}
	}
	if err != nil {
		log.Fatal(err)
	}
	opened, err := server.OpenAll(in) // four records
	fmt.Printf("%s, %v, all of it: %v\n", opened.Data, err, opened.N == len(in))
	// Output: header, body; more and more, <nil>, all of it: true
}

// A constrained device and its server: DTLS with a shared key, and CCM-8 by its name.
func ExamplePSK() {
	cfg := &hermetic.Config{PSKs: []hermetic.PSK{{Identity: []byte("sensor 17"), Key: []byte("sixteen random b")}}}
	for _, s := range hermetic.CipherSuites() {
		if s.Name == "TLS_PSK_WITH_AES_128_CCM_8" || s.Name == "TLS_AES_128_CCM_8_SHA256" { // of 1.2, of 1.3
			cfg.CipherSuites = append(cfg.CipherSuites, s.ID)
		}
	}
	cfg.DTLS.TrustAddress = true // there is no network here; else Config.AnswerHello
	device, err := hermetic.NewEngine(hermetic.DTLSClient, cfg)
	if err != nil {
		log.Fatal(err)
	}
	server, err := hermetic.NewEngine(hermetic.DTLSServer, cfg)
	if err != nil {
		log.Fatal(err)
	}
	for !device.HandshakeComplete() || !server.HandshakeComplete() {
		move(device, server)
		move(server, device)
	}
	s := server.State()
	fmt.Printf("%s, %s\n", s.PSKIdentity, hermetic.CipherSuiteName(s.CipherSuite))
	// Output: sensor 17, TLS_AES_128_CCM_8_SHA256
}

// A transport that takes and gives what it likes: here, two buffers.
func ExampleContext() {
	up, down := new(bytes.Buffer), new(bytes.Buffer)
	client, err := hermetic.NewContext(hermetic.TLSClient, &hermetic.Config{InsecureSkipVerify: true}, readWriter{down, up})
	if err != nil {
		log.Fatal(err)
	}
	server, err := hermetic.NewContext(hermetic.TLSServer, &hermetic.Config{}, readWriter{up, down})
	if err != nil {
		log.Fatal(err)
	}
	buf := make([]byte, 100)
	for sent := false; ; {
		if !sent {
			_, err := client.Write([]byte("hello"))
			sent = err == nil // else ErrWantRead: repeat it when there is something to read
		}
		n, err := server.Read(buf)
		if errors.Is(err, hermetic.ErrWantRead) {
			continue
		}
		fmt.Printf("%s, %v\n", buf[:n], err)
		break
	}
	// Output: hello, <nil>
}

// readWriter reads from one buffer and writes to another. An empty one would
// block.
type readWriter struct{ in, out *bytes.Buffer }

func (b readWriter) Read(p []byte) (int, error) {
	if b.in.Len() == 0 {
		return 0, nil
	}
	return b.in.Read(p)
}

func (b readWriter) Write(p []byte) (int, error) { return b.out.Write(p) }

// A private key that answers later: the engine stops and says what to sign.
func ExampleSignRequest() {
	server, err := hermetic.NewEngine(hermetic.TLSServer, &hermetic.Config{Async: hermetic.AsyncSign})
	if err != nil {
		log.Fatal(err)
	}
	client, err := hermetic.NewEngine(hermetic.TLSClient, &hermetic.Config{InsecureSkipVerify: true})
	if err != nil {
		log.Fatal(err)
	}
	move(client, server)
	request := server.Pending().(*hermetic.SignRequest)
	fmt.Println("sign with", request.Scheme)

	// Meanwhile the loop serves others. Here the key is at hand after all.
	signature, err := request.Sign(nil, request.Certificate.PrivateKey.(crypto.Signer))
	if err := request.Answer(signature, err); err != nil {
		log.Fatal(err)
	}
	move(server, client)
	move(client, server)
	fmt.Println(server.HandshakeComplete())
	// Output:
	// sign with ECDSAWithP256AndSHA256
	// true
}

// A live session goes on in another process: the socket goes there too, and what has
// come and was not opened.
func ExampleImportEngine() {
	cfg := &hermetic.Config{}
	server, err := hermetic.NewEngine(hermetic.TLSServer, cfg)
	if err != nil {
		log.Fatal(err)
	}
	client, err := hermetic.NewEngine(hermetic.TLSClient, &hermetic.Config{InsecureSkipVerify: true})
	if err != nil {
		log.Fatal(err)
	}
	for client.HasOutput() || server.HasOutput() {
		move(client, server)
		move(server, client)
	}

	aead, err := chacha20poly1305.NewX(make([]byte, chacha20poly1305.KeySize)) // a secret of both processes
	if err != nil {
		log.Fatal(err)
	}
	state, err := server.Export(nil, aead) // an ErrInvalidOperation: something is under way, try again later
	if err != nil {
		log.Fatal(err)
	}
	server, err = hermetic.ImportEngine(cfg, state, aead, nil) // in the other process, once
	if err != nil {
		log.Fatal(err)
	}

	sealed, err := client.Seal(nil, []byte("hello"))
	if err != nil {
		log.Fatal(err)
	}
	opened, err := server.Open(sealed)
	fmt.Printf("%s, %v\n", opened.Data, err)
	// Output: hello, <nil>
}

// A failure says the alert, whose it is, and why.
func ExampleAlertError() {
	client, err := hermetic.NewEngine(hermetic.TLSClient, &hermetic.Config{ServerName: "example.com"})
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Open([]byte("HTTP/1.1 400 Bad Request\r\n"))
	var alert *hermetic.AlertError
	if errors.As(err, &alert) {
		fmt.Println(alert.Alert, alert.Received)
	}
	fmt.Println(err)
	// Output:
	// protocol_version false
	// the peer speaks HTTP without TLS (protocol_version)
}
