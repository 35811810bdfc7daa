package flow

import (
	"fmt"
	"strings"

	"github.com/hermetic-tls/hermetic/trace"
)

// Fact is something about a connection in a few words.
type Fact struct {
	// Name says what it is: "round trips".
	Name string

	// Value is the fact.
	Value string
}

// Facts are what a connection has come to, apart from its Choices and Times.
func Facts(c *Connection) (list []Fact) {
	add := func(name, format string, args ...any) { list = append(list, Fact{name, fmt.Sprintf(format, args...)}) }
	if d := c.Completed; d != nil {
		if d.ServerName != "" {
			add("server name", "%s", d.ServerName)
		}
		switch {
		case d.Resumed:
			add("authentication", "a session was resumed")
		case d.PSK:
			add("authentication", "an external PSK")
		}
		if d.EarlyData != "" {
			add("early data", "%s", d.EarlyData)
		}
	}
	add("round trips", "%d", c.RoundTrips)
	add("sent", "%s", c.Sent)
	add("received", "%s", c.Received)
	return list
}

// String returns the volume in words.
func (v Volume) String() string {
	s := fmt.Sprintf("%d bytes in %d records", v.Bytes, v.Records)
	if v.Records == 1 {
		s = fmt.Sprintf("%d bytes in 1 record", v.Bytes)
	}
	if v.Data > 0 {
		s += fmt.Sprintf(", of which %d are data", v.Data)
	}
	return s
}

// Notes are what a person wants to know about a message, in a line each.
func Notes(m *trace.Message) (lines []string) {
	add := func(name string, values ...string) {
		shown := strings.Join(values, ", ")
		if len(values) > 0 && shown != "" {
			lines = append(lines, strings.TrimSpace(name+" "+shown))
		}
	}
	extension := func(path ...string) []string { return m.Field(append([]string{"extensions"}, path...)...).Values() }
	switch m.Type {
	case "ClientHello":
		add("server name", extension("server_name", "server_name_list")...)
		add("versions", bare(versions(m))...)
		add("key shares", bare(extension("key_share", "client_shares"))...)
		add("protocols", extension(alpn, "protocol_name_list")...)
		if m.Field("extensions", "pre_shared_key") != nil {
			lines = append(lines, "offers a PSK or a session")
		}
	case "ServerHello", "HelloRetryRequest":
		version := value(m, "extensions", "supported_versions", "selected_version")
		add("", bare([]string{or(version, value(m, "legacy_version")), value(m, "cipher_suite")})...)
		add("key share", bare([]string{value(m, "extensions", "key_share", "key_share_entry", "group")})...)
		add("wants a key share of", bare([]string{value(m, "extensions", "key_share", "selected_group")})...)
		if m.Field("extensions", "pre_shared_key") != nil {
			lines = append(lines, "accepts the PSK or the session")
		}
	case "EncryptedExtensions":
		add("protocol", extension(alpn, "protocol_name_list")...)
	case "Certificate":
		if m.Field("certificate_list", "certificate") == nil {
			return []string{"no certificate"}
		}
		part := func(name string) string { return value(m, "certificate_list", "certificate", name) }
		add("for", or(part("subject_alternative_names"), part("subject")))
		add("issued by", part("issuer"))
	case "CertificateVerify", "ServerKeyExchange":
		add("", bare([]string{value(m, "algorithm")})...)
	}
	return lines
}

// Bare is a value without its number: "X25519" of "X25519 (0x001d)".
func Bare(value string) string {
	if i := strings.LastIndex(value, " (0x"); i > 0 {
		return value[:i]
	}
	return value
}

// bare are values without their numbers.
func bare(values []string) (list []string) {
	for _, v := range values {
		if v != "" {
			list = append(list, Bare(v))
		}
	}
	return list
}
