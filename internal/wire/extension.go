package wire

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/hermetic-tls/hermetic/internal/alert"
)

// Extension numbers an extension (IANA's ExtensionType).
type Extension uint16

const (
	ExtServerName             Extension = 0
	ExtStatusRequest          Extension = 5
	ExtSupportedGroups        Extension = 10
	ExtECPointFormats         Extension = 11
	ExtSignatureAlgorithms    Extension = 13
	ExtUseSRTP                Extension = 14
	ExtALPN                   Extension = 16
	ExtSCT                    Extension = 18
	ExtClientCertificateType  Extension = 19
	ExtServerCertificateType  Extension = 20
	ExtPadding                Extension = 21
	ExtExtendedMainSecret     Extension = 23
	ExtSessionTicket          Extension = 35
	ExtPreSharedKey           Extension = 41
	ExtEarlyData              Extension = 42
	ExtSupportedVersions      Extension = 43
	ExtCookie                 Extension = 44
	ExtPSKKeyExchangeModes    Extension = 45
	ExtCertificateAuthorities Extension = 47
	ExtOIDFilters             Extension = 48
	ExtPostHandshakeAuth      Extension = 49
	ExtSignatureAlgsCert      Extension = 50
	ExtKeyShare               Extension = 51
	ExtConnectionID           Extension = 54
	ExtRenegotiationInfo      Extension = 0xff01
)

// known are the extensions of this package: the position is the bit in an
// ExtensionSet.
var known = [...]struct {
	number Extension
	name   string
}{
	{ExtServerName, "server_name"},
	{ExtStatusRequest, "status_request"},
	{ExtSupportedGroups, "supported_groups"},
	{ExtECPointFormats, "ec_point_formats"},
	{ExtSignatureAlgorithms, "signature_algorithms"},
	{ExtUseSRTP, "use_srtp"},
	{ExtALPN, "application_layer_protocol_negotiation"},
	{ExtSCT, "signed_certificate_timestamp"},
	{ExtClientCertificateType, "client_certificate_type"},
	{ExtServerCertificateType, "server_certificate_type"},
	{ExtPadding, "padding"},
	{ExtExtendedMainSecret, "extended_main_secret"},
	{ExtSessionTicket, "session_ticket"},
	{ExtPreSharedKey, "pre_shared_key"},
	{ExtEarlyData, "early_data"},
	{ExtSupportedVersions, "supported_versions"},
	{ExtCookie, "cookie"},
	{ExtPSKKeyExchangeModes, "psk_key_exchange_modes"},
	{ExtCertificateAuthorities, "certificate_authorities"},
	{ExtOIDFilters, "oid_filters"},
	{ExtPostHandshakeAuth, "post_handshake_auth"},
	{ExtSignatureAlgsCert, "signature_algorithms_cert"},
	{ExtKeyShare, "key_share"},
	{ExtConnectionID, "connection_id"},
	{ExtRenegotiationInfo, "renegotiation_info"},
}

// String returns the extension's name in its RFC.
func (e Extension) String() string {
	if i := e.bit(); i >= 0 {
		return known[i].name
	}
	return fmt.Sprintf("extension %d", uint16(e))
}

// bit is the extension's place in an ExtensionSet, or -1.
func (e Extension) bit() int {
	for i := range known {
		if known[i].number == e {
			return i
		}
	}
	return -1
}

// ExtensionSet is the set of extensions, of those that this package knows,
// that a message has.
type ExtensionSet uint32

// Extensions is the set of the given ones.
func Extensions(list ...Extension) (s ExtensionSet) {
	s.Add(list...)
	return s
}

// Add adds extensions that this package knows.
func (s *ExtensionSet) Add(list ...Extension) {
	for _, e := range list {
		*s |= 1 << e.bit()
	}
}

// Has reports whether e is in s.
func (s ExtensionSet) Has(e Extension) bool {
	i := e.bit()
	return i >= 0 && s&(1<<i) != 0
}

// Minus returns what is in s and not in other.
func (s ExtensionSet) Minus(other ExtensionSet) ExtensionSet { return s &^ other }

// String joins the names.
func (s ExtensionSet) String() string {
	var names []string
	for ; s != 0; s &= s - 1 {
		names = append(names, known[bits.TrailingZeros32(uint32(s))].name)
	}
	return strings.Join(names, ", ")
}

// Which extensions a message may have: the table of RFC 9846, Section 4.3, and for
// TLS 1.2 what their own RFCs say. Lists are in the order in which we send them.
var (
	InServerHello12 = Extensions(ExtServerName, ExtStatusRequest, ExtSupportedGroups, ExtECPointFormats, ExtALPN, ExtSCT,
		ExtClientCertificateType, ExtServerCertificateType, ExtExtendedMainSecret, ExtRenegotiationInfo, ExtSessionTicket,
		ExtConnectionID, ExtUseSRTP)
	InServerHello13       = Extensions(ExtSupportedVersions, ExtKeyShare, ExtPreSharedKey, ExtConnectionID)
	InHelloRetryRequest   = Extensions(ExtSupportedVersions, ExtKeyShare, ExtCookie)
	InEncryptedExtensions = Extensions(inEncryptedExtensions...)
	InCertificate         = Extensions(inCertificateEntry...)

	inEncryptedExtensions = []Extension{ExtServerName, ExtSupportedGroups, ExtALPN, ExtUseSRTP, ExtServerCertificateType,
		ExtClientCertificateType, ExtEarlyData}
	inCertificateRequest = []Extension{ExtServerName, ExtStatusRequest, ExtSCT, ExtSignatureAlgorithms, ExtSignatureAlgsCert,
		ExtCertificateAuthorities, ExtOIDFilters}
	inCertificateEntry = []Extension{ExtStatusRequest, ExtSCT}
	inNewSessionTicket = []Extension{ExtEarlyData}
)

// ofDatagrams are the extensions that have no meaning in TLS: RFC 5764, Section 4.1,
// and RFC 9146, Section 3.
var ofDatagrams = Extensions(ExtUseSRTP, ExtConnectionID)

// only12 and only13 are the extensions of a ClientHello that one version alone has.
// RFC 9846, Section 1.4, gives supported_versions and signature_algorithms_cert to
// TLS 1.2 too.
var (
	only12 = Extensions(ExtECPointFormats, ExtExtendedMainSecret, ExtSessionTicket, ExtRenegotiationInfo)
	only13 = Extensions(ExtPreSharedKey, ExtEarlyData, ExtCookie, ExtPSKKeyExchangeModes, ExtCertificateAuthorities, ExtOIDFilters,
		ExtPostHandshakeAuth, ExtKeyShare)
)

// everything is all that this package knows.
const everything = ^ExtensionSet(0)

// byNumber is the order of extensions in the hellos.
var byNumber = func() (order []Extension) {
	for _, k := range known {
		order = append(order, k.number)
	}
	return order
}()

var (
	errDuplicate = alert.New(alert.DecodeError, "an extension stands in a message twice")
	// RFC 9846 names no alert; peers tell messages apart.
	errIllegalTwice = alert.New(alert.IllegalParameter, "an extension stands in a message twice")
)

// duplicate is the failure of an extension that comes again.
func (c *coder) duplicate() error {
	if c.illegalTwice {
		return errIllegalTwice
	}
	return errDuplicate
}

// only reports known extensions that do not belong in a message: RFC 9846,
// Section 4.3, wants an illegal_parameter.
func (c *coder) only(message []Extension, has ExtensionSet) {
	if other := has.Minus(Extensions(message...)); other != 0 {
		c.fail(alert.New(alert.IllegalParameter, "an extension does not belong in this message: "+other.String()))
	}
}
