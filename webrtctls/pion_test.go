package webrtctls

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v3"

	"github.com/hermetic-tls/hermetic"
)

// pionOptions are what pion/webrtc gives pion/dtls.
func pionOptions(own tls.Certificate, check func([]byte) error) []dtls.Option {
	return []dtls.Option{
		dtls.WithCertificates(own),
		dtls.WithInsecureSkipVerify(true),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) error { return check(raw[0]) }),
	}
}

// pion makes a connection of pion/dtls for a role.
func pion(role hermetic.Mode, conn net.Conn, options []dtls.Option) (*dtls.Conn, error) {
	if role == hermetic.DTLSServer {
		server := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert), dtls.WithInsecureSkipVerifyHello(true)}
		for _, o := range options {
			server = append(server, o)
		}
		return dtls.ServerWithOptions(&asPackets{conn}, conn.RemoteAddr(), server...)
	}
	var client []dtls.ClientOption
	for _, o := range options {
		client = append(client, o)
	}
	return dtls.ClientWithOptions(&asPackets{conn}, conn.RemoteAddr(), client...)
}

// TestPion: pion/dtls over pion/ice as the peer, in both roles, with the same keys of SRTP.
func TestPion(t *testing.T) {
	for _, role := range []hermetic.Mode{hermetic.DTLSClient, hermetic.DTLSServer} {
		t.Run(role.String(), func(t *testing.T) {
			t.Parallel()
			a, b := connect(t)
			ours, theirs := newIdentity(t), newIdentity(t)
			conn := New(a.conn, role, NewConfig(ours.own, theirs.print))
			defer conn.Close()
			options := pionOptions(theirs.own, func(der []byte) error {
				return VerifyFingerprint(parse(t, der), []Fingerprint{ours.print})
			})
			type result struct {
				conn *dtls.Conn
				err  error
			}
			done := make(chan result, 1)
			go func() {
				var r result
				other := hermetic.DTLSClient
				if role == hermetic.DTLSClient {
					other = hermetic.DTLSServer
				}
				r.conn, r.err = pion(other, b.conn, options)
				if r.err == nil {
					r.err = r.conn.HandshakeContext(t.Context())
				}
				done <- r
			}()
			if err := conn.HandshakeContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			peer := <-done
			if peer.err != nil {
				t.Fatal(peer.err)
			}
			defer peer.conn.Close()
			keys, err := conn.SRTPConfig()
			if err != nil {
				t.Fatal(err)
			}
			state, ok := peer.conn.ConnectionState()
			if !ok {
				t.Fatal("pion has no state")
			}
			want := srtp.Config{Profile: srtp.ProtectionProfileAeadAes128Gcm}
			if err := want.ExtractSessionKeysFromDTLS(&state, role == hermetic.DTLSServer); err != nil {
				t.Fatal(err)
			}
			if keys.Profile != want.Profile || string(keys.Keys.LocalMasterKey) != string(want.Keys.RemoteMasterKey) ||
				string(keys.Keys.RemoteMasterSalt) != string(want.Keys.LocalMasterSalt) {
				t.Errorf("our keys are %v, the peer's %v", keys.Keys, want.Keys)
			}
			if _, err := peer.conn.Write([]byte("from pion")); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 100)
			if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "from pion" {
				t.Errorf("%q, %v", buf[:n], err)
			}
			if _, err := conn.Write([]byte("from hermetic")); err != nil {
				t.Fatal(err)
			}
			if n, err := peer.conn.Read(buf); err != nil || string(buf[:n]) != "from hermetic" {
				t.Errorf("%q, %v", buf[:n], err)
			}
		})
	}
}

// asPackets is a net.Conn as pion/dtls takes it.
type asPackets struct{ net.Conn }

func (c *asPackets) ReadFrom(p []byte) (int, net.Addr, error) {
	n, err := c.Read(p)
	return n, c.RemoteAddr(), err
}

func (c *asPackets) WriteTo(p []byte, _ net.Addr) (int, error) { return c.Write(p) }
