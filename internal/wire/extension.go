package wire

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/hermetic-tls/hermetic/internal/alert"
)

// Extension is an ExtensionType, as IANA has numbered them.
type Extension uint16

const (
	ExtServerName             Extension = 0
	ExtMaxFragmentLength      Extension = 1
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
	ExtCompressCertificate    Extension = 27
	ExtRecordSizeLimit        Extension = 28
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
	ExtRRC                    Extension = 61
	ExtRenegotiationInfo      Extension = 0xff01
)

// known lists the extensions that this package knows. The index is the bit in an
// ExtensionSet.
var known = [...]struct {
	number Extension
	name   string
}{
	{ExtServerName, "server_name"},
	{ExtMaxFragmentLength, "max_fragment_length"},
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
	{ExtCompressCertificate, "compress_certificate"},
	{ExtRecordSizeLimit, "record_size_limit"},
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
	{ExtRRC, "rrc"},
	{ExtRenegotiationInfo, "renegotiation_info"},
}

// String returns the extension's name in its RFC.
func (e Extension) String() string {
	if i := e.bit(); i >= 0 {
		return known[i].name
	}
	return fmt.Sprintf("extension %d", uint16(e))
}

// bit returns the extension's bit in an ExtensionSet, or -1 if it is unknown.
func (e Extension) bit() int {
	for i := range known {
		if known[i].number == e {
			return i
		}
	}
	return -1
}

// ExtensionSet is a set of extensions that this package knows.
type ExtensionSet uint32

// Extensions returns the set of the given ones.
func Extensions(list ...Extension) (s ExtensionSet) {
	s.Add(list...)
	return s
}

// Add adds extensions. This package must know them.
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

// Minus returns the extensions of s that are not in other.
func (s ExtensionSet) Minus(other ExtensionSet) ExtensionSet { return s &^ other }

// String joins the names, for errors.
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
	InServerHello12 = Extensions(ExtServerName, ExtMaxFragmentLength, ExtStatusRequest, ExtSupportedGroups, ExtECPointFormats, ExtALPN, ExtSCT,
		ExtClientCertificateType, ExtServerCertificateType, ExtExtendedMainSecret, ExtRecordSizeLimit, ExtRenegotiationInfo,
		ExtSessionTicket, ExtConnectionID, ExtRRC, ExtUseSRTP)
	OnlyDatagrams         = Extensions(ExtConnectionID, ExtRRC, ExtUseSRTP)
	InServerHello13       = Extensions(ExtSupportedVersions, ExtKeyShare, ExtPreSharedKey, ExtConnectionID, ExtRRC)
	InHelloRetryRequest   = Extensions(ExtSupportedVersions, ExtKeyShare, ExtCookie)
	InEncryptedExtensions = Extensions(inEncryptedExtensions...)
	InCertificate         = Extensions(inCertificateEntry...)

	inEncryptedExtensions = []Extension{ExtServerName, ExtMaxFragmentLength, ExtSupportedGroups, ExtALPN, ExtUseSRTP,
		ExtServerCertificateType, ExtClientCertificateType, ExtRecordSizeLimit, ExtEarlyData}
	inCertificateRequest = []Extension{ExtServerName, ExtStatusRequest, ExtSCT, ExtSignatureAlgorithms, ExtSignatureAlgsCert,
		ExtCompressCertificate, ExtCertificateAuthorities, ExtOIDFilters}
	inCertificateEntry = []Extension{ExtStatusRequest, ExtSCT}
	inNewSessionTicket = []Extension{ExtEarlyData}
)

// ofDatagrams are the extensions that only DTLS has: RFC 5764, Section 4.1, RFC 9146,
// Section 3, and RFC 9853, Section 3.
var ofDatagrams = Extensions(ExtUseSRTP, ExtConnectionID, ExtRRC)

// only12 and only13 are the extensions of a ClientHello that only one version has. RFC
// 9846, Section 1.4, gives supported_versions and signature_algorithms_cert to TLS 1.2
// too.
var (
	only12 = Extensions(ExtECPointFormats, ExtExtendedMainSecret, ExtSessionTicket, ExtRenegotiationInfo)
	only13 = Extensions(ExtPreSharedKey, ExtEarlyData, ExtCookie, ExtPSKKeyExchangeModes, ExtCertificateAuthorities, ExtOIDFilters,
		ExtPostHandshakeAuth, ExtKeyShare)
)

// everything is the set of all extensions that this package knows.
const everything = ^ExtensionSet(0)

// byNumber is the order of extensions in the hellos.
var byNumber = func() (order []Extension) {
	for _, k := range known {
		order = append(order, k.number)
	}
	return order
}()

var (
	errDuplicate = alert.New(alert.DecodeError, "an extension occurs twice in a message")
	// RFC 9846 names no alert; peers tell messages apart.
	errIllegalTwice = alert.New(alert.IllegalParameter, "an extension occurs twice in a message")
)

// duplicate returns the error for an extension that occurs twice.
func (c *coder) duplicate() error {
	if c.illegalTwice {
		return errIllegalTwice
	}
	return errDuplicate
}

// only fails if has has an extension that does not belong in the message. RFC 9846,
// Section 4.3, requires an illegal_parameter.
func (c *coder) only(message []Extension, has ExtensionSet) {
	if other := has.Minus(Extensions(message...)); other != 0 {
		c.fail(alert.New(alert.IllegalParameter, "an extension is not permitted in this message: "+other.String()))
	}
}
