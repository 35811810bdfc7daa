package main

import (
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// connectionIDs are the connection IDs of a DTLS connection, in the records to us and to the peer.
type connectionIDs struct {
	local [][]byte
	peer  []byte
}

// used reports whether records have one.
func (ids connectionIDs) used() bool { return len(ids.local)+len(ids.peer) > 0 }

func (ids connectionIDs) String() string {
	return fmt.Sprintf("ours %x, the peer's %x", ids.local, ids.peer)
}

// summary returns what was negotiated, in one line.
func summary(s hermetic.ConnectionState) string {
	line := fmt.Sprintf("%s %s %s", versionName(s), hermetic.CipherSuiteName(s.CipherSuite), groupName(s.CurveID))
	if s.PeerSignatureScheme != 0 {
		line += " " + s.PeerSignatureScheme.String()
	}
	if s.NegotiatedProtocol != "" {
		line += " ALPN " + fromPeer(s.NegotiatedProtocol)
	}
	if s.DidResume {
		line += " resumed"
	}
	if s.EarlyDataAccepted {
		line += " with early data"
	}
	if s.PSKIdentity != nil {
		line += fmt.Sprintf(" PSK %q", s.PSKIdentity)
	}
	if s.SRTPProfile != 0 {
		line += " " + hermetic.SRTPProfileName(s.SRTPProfile)
	}
	for _, size := range sizes(s) {
		line += ", " + size
	}
	return line
}

// versionName returns the version's name, with a D for DTLS.
func versionName(s hermetic.ConnectionState) string {
	name := tls.VersionName(s.Version)
	if s.Mode.IsDTLS() {
		name = "D" + name
	}
	return name
}

// printState prints what was negotiated, for a person.
func printState(w io.Writer, s hermetic.ConnectionState) {
	fmt.Fprintf(w, "Version       %s\n", versionName(s))
	fmt.Fprintf(w, "Cipher suite  %s\n", hermetic.CipherSuiteName(s.CipherSuite))
	fmt.Fprintf(w, "Group         %s%s\n", groupName(s.CurveID), map[bool]string{true: " (after a HelloRetryRequest)"}[s.HelloRetryRequest])
	if s.PeerSignatureScheme != 0 {
		fmt.Fprintf(w, "Signature     %v\n", s.PeerSignatureScheme)
	}
	if s.NegotiatedProtocol != "" {
		fmt.Fprintf(w, "ALPN          %s\n", fromPeer(s.NegotiatedProtocol))
	}
	if s.DidResume {
		fmt.Fprintf(w, "Session       resumed%s\n", map[bool]string{true: ", early data accepted"}[s.EarlyDataAccepted])
	}
	if s.PSKIdentity != nil {
		fmt.Fprintf(w, "PSK           %q\n", s.PSKIdentity)
	}
	if s.SRTPProfile != 0 {
		fmt.Fprintf(w, "SRTP profile  %s\n", hermetic.SRTPProfileName(s.SRTPProfile))
	}
	for i, c := range s.PeerCertificates {
		label := "Certificate  "
		if i > 0 {
			label = "  issued by  "
		}
		fmt.Fprintf(w, "%s %s, until %s\n", label, fromPeer(subject(c.DNSNames, c.Subject.String())), c.NotAfter.Format(time.DateOnly))
	}
	if n := len(s.PeerCertificates); n > 0 {
		fmt.Fprintf(w, "  issued by   %s\n", fromPeer(s.PeerCertificates[n-1].Issuer.String()))
	}
	if c := s.LocalCertificate; c != nil && c.Leaf != nil {
		fmt.Fprintf(w, "Ours          %s\n", subject(c.Leaf.DNSNames, c.Leaf.Subject.String()))
	}
	staple(s, time.Now()).print(w)
	printSizes(w, s)
	fmt.Fprintln(w)
}

// maxPrinted is how many bytes of a name are printed.
const maxPrinted = 1000

// fromPeer makes text from the peer safe for a terminal.
func fromPeer(s string) string {
	if len(s) > maxPrinted {
		s = s[:maxPrinted] + "..."
	}
	return strings.Map(printable, s)
}

func subject(names []string, subject string) string {
	if len(names) == 0 {
		return subject
	}
	return strings.Join(names, ", ")
}

// printJSON prints what was negotiated, for a program.
func printJSON(w io.Writer, s hermetic.ConnectionState, ids connectionIDs) error {
	type certificate struct {
		Subject  string    `json:"subject"`
		Issuer   string    `json:"issuer"`
		Names    []string  `json:"names,omitempty"`
		NotAfter time.Time `json:"not_after"`
	}
	report := struct {
		Version      string        `json:"version"`
		CipherSuite  string        `json:"cipher_suite"`
		Group        string        `json:"group"`
		Signature    string        `json:"signature,omitempty"`
		ALPN         string        `json:"alpn,omitempty"`
		ServerName   string        `json:"server_name,omitempty"`
		Retried      bool          `json:"hello_retry_request"`
		Resumed      bool          `json:"resumed"`
		EarlyData    bool          `json:"early_data_accepted"`
		PSKIdentity  string        `json:"psk_identity,omitempty"`
		SRTPProfile  string        `json:"srtp_profile,omitempty"`
		LocalCIDs    []string      `json:"local_connection_ids,omitempty"`
		PeerCID      string        `json:"peer_connection_id,omitempty"`
		SizeLimit    int           `json:"peer_record_size_limit,omitempty"`
		Fragment     int           `json:"max_fragment_length,omitempty"`
		Compression  string        `json:"certificate_compression,omitempty"`
		OCSP         *stapled      `json:"ocsp,omitempty"`
		Certificates []certificate `json:"certificates"`
	}{
		Version: versionName(s), CipherSuite: hermetic.CipherSuiteName(s.CipherSuite), Group: groupName(s.CurveID),
		ALPN: s.NegotiatedProtocol, ServerName: s.ServerName, Retried: s.HelloRetryRequest,
		Resumed: s.DidResume, EarlyData: s.EarlyDataAccepted, PSKIdentity: string(s.PSKIdentity),
		PeerCID:   hex.EncodeToString(ids.peer),
		SizeLimit: s.PeerRecordSizeLimit, Fragment: s.MaxFragmentLength,
		Certificates: []certificate{}, OCSP: staple(s, time.Now()),
	}
	if s.PeerCertificateCompression != 0 {
		report.Compression = compressorName(s.PeerCertificateCompression)
	}
	for _, id := range ids.local {
		report.LocalCIDs = append(report.LocalCIDs, hex.EncodeToString(id))
	}
	if s.SRTPProfile != 0 {
		report.SRTPProfile = hermetic.SRTPProfileName(s.SRTPProfile)
	}
	if s.PeerSignatureScheme != 0 {
		report.Signature = s.PeerSignatureScheme.String()
	}
	for _, c := range s.PeerCertificates {
		report.Certificates = append(report.Certificates, certificate{c.Subject.String(), c.Issuer.String(), c.DNSNames, c.NotAfter})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(report)
}
