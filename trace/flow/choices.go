package flow

import (
	"fmt"
	"slices"

	"github.com/hermetic-tls/hermetic/trace"
)

// Choice is something that the server has chosen out of what the client has offered.
type Choice struct {
	// What is "version", "cipher suite", "group", "signature of the server" or "protocol".
	What string

	// Offered are the client's offers, the preferred first.
	Offered []string

	// Chosen is the server's choice; empty means that it has chosen none.
	Chosen string

	// Why says how the choice relates to the offer, in words.
	Why string
}

// hellos are the messages that negotiate.
type hellos struct{ client, retry, server, encrypted, exchange, verify *trace.Message }

// find finds the messages that count: of several ClientHellos the last one, but the first one's
// offers are the same apart from the key shares.
func find(events []trace.Event) (h hellos) {
	for _, e := range events {
		m, ok := e.Data.(*trace.Message)
		if !ok {
			continue
		}
		switch m.Type {
		case "ClientHello":
			if h.server == nil {
				h.client = m
			}
		case "HelloRetryRequest":
			h.retry = m
		case "ServerHello":
			h.server = m
		case "EncryptedExtensions":
			h.encrypted = m
		case "ServerKeyExchange":
			h.exchange = m
		case "CertificateVerify":
			if h.verify == nil && (e.Side == trace.Server) == m.Sent {
				h.verify = m
			}
		}
	}
	return h
}

func choices(events []trace.Event) (list []Choice) {
	h := find(events)
	if h.client == nil {
		return nil
	}
	add := func(c Choice) {
		if len(c.Offered) > 0 || c.Chosen != "" {
			list = append(list, c)
		}
	}
	offered := func(path ...string) []string {
		return h.client.Field(append([]string{"extensions"}, path...)...).Values()
	}
	versions := offered("supported_versions", "versions")
	if versions == nil {
		versions = []string{value(h.client, "legacy_version")}
	}
	version := value(h.server, "extensions", "supported_versions", "selected_version")
	if version == "" {
		version = value(h.server, "legacy_version")
	}
	if h.server == nil {
		return unanswered(h, versions, offered)
	}
	add(choose("version", versions, version))
	add(choose("cipher suite", h.client.Field("cipher_suites").Values(), value(h.server, "cipher_suite")))
	add(h.group(offered("supported_groups", "named_group_list")))
	schemes := offered("signature_algorithms", "supported_signature_algorithms")
	scheme := value(h.verify, "algorithm")
	if scheme == "" {
		scheme = value(h.exchange, "algorithm")
	}
	if scheme != "" {
		add(choose("signature of the server", schemes, scheme))
	}
	protocols := offered(alpn, "protocol_name_list")
	protocol := value(h.encrypted, "extensions", alpn, "protocol_name_list", "protocol_name")
	if protocol == "" {
		protocol = value(h.server, "extensions", alpn, "protocol_name_list", "protocol_name")
	}
	add(choose("protocol", protocols, protocol))
	return list
}

// unanswered are the offers of a client that got no ServerHello.
func unanswered(h hellos, versions []string, offered func(...string) []string) (list []Choice) {
	const why = "there was no ServerHello"
	return slices.DeleteFunc([]Choice{
		{What: "version", Offered: versions, Why: why},
		{What: "cipher suite", Offered: h.client.Field("cipher_suites").Values(), Why: why},
		{What: "group", Offered: offered("supported_groups", "named_group_list"), Why: why},
	}, func(c Choice) bool { return len(c.Offered) == 0 })
}

// group is the choice of the key exchange.
func (h *hellos) group(offered []string) Choice {
	chosen := value(h.server, "extensions", "key_share", "key_share_entry", "group")
	if chosen == "" {
		chosen = value(h.exchange, "named_curve")
	}
	c := choose("group", offered, chosen)
	switch {
	case chosen == "":
		c.Why = "there was no (EC)DHE"
	case h.retry != nil && value(h.retry, "extensions", "key_share", "selected_group") == chosen:
		c.Why += "; the first ClientHello had no key share of it, so there was a HelloRetryRequest"
	}
	return c
}

// value is the value of a field, or "".
func value(m *trace.Message, path ...string) string {
	if m == nil {
		return ""
	}
	if f := m.Field(path...); f != nil {
		return f.Value
	}
	return ""
}

// choose says how a choice relates to an offer.
func choose(what string, offered []string, chosen string) Choice {
	c := Choice{What: what, Offered: offered, Chosen: chosen}
	switch i := slices.Index(offered, chosen); {
	case chosen == "":
		c.Why = "the server has chosen none"
	case i < 0:
		c.Why = "the client has not offered it"
	case len(offered) == 1:
		c.Why = "it was the only offer"
	case i == 0:
		c.Why = "it was the client's first choice"
	default:
		c.Why = fmt.Sprintf("it was number %d of the client's %d offers", i+1, len(offered))
	}
	return c
}
