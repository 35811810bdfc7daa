package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

func block(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

// root is the certificate of an authority, in PEM and in DER.
func root(t testing.TB) (string, []byte) {
	der := pkitest.CA(t).Certificate.Raw
	return block("CERTIFICATE", der), der
}

// TestAuthorities: a file is read completely, or the error says where it is damaged:
// it must not shrink in silence.
func TestAuthorities(t *testing.T) {
	a, _ := root(t)
	b, der := root(t)
	c, _ := root(t)
	key := block("EC PRIVATE KEY", []byte{1, 2, 3})
	lines := strings.Split(strings.TrimSpace(b), "\n")
	joined := "-----BEGIN CERTIFICATE-----\n" + strings.Join(lines[1:len(lines)-1], "") + "\n-----END CERTIFICATE-----\n"
	all := a + b + c
	trusted := func(aux ...byte) string { return block("TRUSTED CERTIFICATE", slices.Concat(der, aux)) }
	for _, test := range []struct {
		name string
		file string
		n    int
		want string // in the error
	}{
		{"as OpenSSL writes it", all, 3, ""},
		{"CRLF", strings.ReplaceAll(all, "\n", "\r\n"), 3, ""},
		{"CR, of an old Mac", strings.ReplaceAll(all, "\n", "\r"), 3, ""},
		{"no newline at the end", strings.TrimSpace(all), 3, ""},
		{"no newline between", strings.ReplaceAll(all, "\n-----BEGIN", "-----BEGIN"), 3, ""},
		{"spaces at the ends of lines", strings.ReplaceAll(all, "\n", " \t\n"), 3, ""},
		{"indented", "  " + strings.ReplaceAll(all, "\n", "\n  "), 3, ""},
		{"indented by a tab, one of them", a + "\t" + strings.ReplaceAll(b, "\n", "\n\t") + c, 3, ""},
		{"empty lines within", strings.ReplaceAll(all, "\n", "\n\n"), 3, ""},
		{"one long line", a + joined + c, 3, ""},
		{"a byte order mark", "\ufeff" + all, 3, ""},
		{"text between", "Root A\n====\n" + a + "# Root B -- the END of all\n" + b + "subject=CN = c\n" + c + "that's it\n", 3, ""},
		{"a block that is commented out", a + "#" + strings.ReplaceAll(strings.TrimSpace(b), "\n", "\n#") + "\n" + c, 2, ""},
		{"lines of dashes", "A\n----------\n" + a + "-----\nB\n--- - ---\n" + b, 2, ""},
		{"the output of s_client", "---\nCertificate chain\n 0 s:CN = a\n---\nServer certificate\n" + a + "---\nNo client certificate CA names sent\n", 1, ""},
		{"names with dashes", "friend-key.pem, end-entity-cert.pem\n" + a, 1, ""},
		{"all in one line", strings.ReplaceAll(all, "\n", ""), 3, ""},
		{"all in one line, with spaces", strings.ReplaceAll(all, "\n", " "), 3, ""},
		{"an END line glued to the base64", strings.ReplaceAll(all, "\n-----END", "-----END"), 3, ""},
		{"byte order marks within", "\ufeff" + a + "\ufeff" + b, 2, ""},
		{"Bag Attributes", "Bag Attributes\n    localKeyID: 01 02\nKey Attributes: <No Attributes>\n" + a, 1, ""},
		{"text after an END line", strings.Replace(all, "-----END CERTIFICATE-----\n", "-----END CERTIFICATE----- # A\n", 1), 3, ""},
		{"headers", strings.Replace(a, "-----\n", "-----\nfriendlyName: A\nmore: B\n\n", 1), 1, ""},
		{"X509 CERTIFICATE", strings.ReplaceAll(all, " CERTIFICATE", " X509 CERTIFICATE"), 3, ""},
		{"TRUSTED CERTIFICATE without settings", trusted(), 1, ""},
		{"TRUSTED CERTIFICATE with an alias", trusted(0x30, 3, 0x0c, 1, 'A'), 1, ""},
		{"the same one twice", a + a, 2, ""},
		{"keys, parameters and revocation lists", key + a + block("EC PARAMETERS", []byte{1}) + block("X509 CRL", []byte{1}) + block("CERTIFICATE REQUEST", []byte{1}), 1, ""},
		{"DER", string(der), 1, ""},
		{"two in DER", string(der) + string(der), 2, ""},

		{"TRUSTED CERTIFICATE for servers only", trusted(0x30, 12, 0x30, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1), 0, "what the certificate is trusted for"},
		{"TRUSTED CERTIFICATE not for clients", trusted(0x30, 12, 0xa0, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2), 0, "what the certificate is trusted for"},
		{"empty", "", 0, "no PEM block"},
		{"text", "nothing here\n", 0, "no PEM block"},
		{"a key only", key, 0, "no CERTIFICATE block"},
		{"UTF-16", "\xff\xfe-\x00-\x00", 0, "UTF-16"},
		{"DER of something else", string(der[:len(der)-1]), 0, "not PEM"},
		{"bad base64", a + strings.Replace(b, "MII", "M*I", 1) + c, 0, "base64 is damaged (block 2, CERTIFICATE, line "},
		{"a lost character", a + strings.Replace(b, "MII", "MI", 1) + c, 0, "base64 is damaged (block 2"},
		{"a lost line", a + strings.Replace(b, lines[3]+"\n", "", 1) + c, 0, "(block 2"},
		{"a lost line at the end", a + strings.Replace(b, lines[len(lines)-2]+"\n", "", 1) + c, 0, "(block 2"},
		{"no END line", a + strings.TrimSuffix(b, "-----END CERTIFICATE-----\n") + c, 0, "END line is missing (block 2"},
		{"no END line at the end of the file", a + strings.TrimSuffix(b, "-----END CERTIFICATE-----\n"), 0, "END line is missing (block 2"},
		{"a truncated file", all[:len(all)-40], 0, "END line is missing (block 3"},
		{"no BEGIN line", a + strings.TrimPrefix(b, "-----BEGIN CERTIFICATE-----\n") + c, 0, "without a BEGIN line"},
		{"neither", a + strings.Join(lines[1:len(lines)-1], "\n") + "\n" + c, 0, "without a BEGIN line"},
		{"four dashes", a + b[1:] + c, 0, "looks like the BEGIN"},
		{"six dashes", a + "-" + b + c, 0, "looks like the BEGIN"},
		{"four dashes after", a + strings.Replace(b, "CERTIFICATE-----", "CERTIFICATE----", 1) + c, 0, "looks like the BEGIN"},
		{"no dashes", a + strings.Trim(lines[0], "-") + "\n" + strings.Join(lines[1:], "\n") + "\n" + c, 0, "looks like the BEGIN"},
		{"dashes of a word processor", a + strings.Replace(b, "-----BEGIN", "—–BEGIN", 1) + c, 0, "looks like the BEGIN"},
		{"four dashes at the END", a + strings.Replace(b, "-----END", "----END", 1) + c, 0, "(block 2"},
		{"another label at the END", a + strings.Replace(b, "END CERTIFICATE", "END CERTIFICAT", 1) + c, 0, "another label (block 2"},
		{"a misspelled label", a + strings.ReplaceAll(b, "CERTIFICATE", "CERTIFICAT") + c, 0, "no such label (block 2, CERTIFICAT,"},
		{"a label in lower case", a + strings.ReplaceAll(b, "CERTIFICATE", "certificate") + c, 0, "no such label (block 2, certificate,"},
		{"a label of nothing", a + strings.ReplaceAll(b, "CERTIFICATE", "") + c, 0, "no such label (block 2"},
		{"a lost space", a + strings.Replace(b, "BEGIN CERT", "BEGINCERT", 1) + c, 0, "looks like the BEGIN"},
		{"two spaces", a + strings.Replace(b, "BEGIN CERT", "BEGIN  CERT", 1) + c, 0, "(block 2,"},
		{"BEGIN in lower case", a + strings.Replace(b, "BEGIN", "begin", 1) + c, 0, "looks like the BEGIN"},
		{"line ends that were escaped", strings.ReplaceAll(all, "\n", `\n`), 0, "(block 1,"},
		{"quoted in a mail", a + "> " + strings.ReplaceAll(b, "\n", "\n> ") + c, 0, "looks like the BEGIN"},
		{"two certificates in a block", a + block("CERTIFICATE", append(bytes.Clone(der), der...)), 0, "trailing data (block 2"},
		{"no certificate", a + block("CERTIFICATE", []byte{0x30, 0}) + c, 0, "x509: malformed tbs certificate (block 2"},
		{"empty blocks", a + "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", 0, "it is empty (block 2"},
		{"a key that is damaged", a + strings.Replace(key, "AQID", "A", 1), 0, "(block 2, EC PRIVATE KEY"},
	} {
		list, err := ReadAuthorities([]byte(test.file))
		switch {
		case test.want == "" && (err != nil || len(list) != test.n):
			t.Errorf("%s: %d of %d are read, %v", test.name, len(list), test.n, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %d are read, %v, want %q", test.name, len(list), err, test.want)
		}
	}
}

// TestAuthoritiesEveryByte: whichever byte of a file is lost or spoiled, all
// authorities are read as they were, or it is an error. A certificate has no
// checksum, so one that has become another counts as read.
func TestAuthoritiesEveryByte(t *testing.T) {
	a, _ := root(t)
	b, _ := root(t)
	file := []byte(a + b)
	for i := range file {
		for _, spoil := range []func([]byte) []byte{
			func(f []byte) []byte { return slices.Delete(f, i, i+1) },
			func(f []byte) []byte { f[i] = '?'; return f },
			func(f []byte) []byte { return slices.Insert(f, i, '-') },
			func(f []byte) []byte { return slices.Insert(f, i, '\n') },
		} {
			if list, err := ReadAuthorities(spoil(bytes.Clone(file))); err == nil && len(list) != 2 {
				t.Fatalf("byte %d: %d of 2 are read, and no error", i, len(list))
			}
		}
	}
}

// TestIdentityFiles: a chain and its key, as they come.
func TestIdentityFiles(t *testing.T) {
	ca := pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{})
	chain, key := pkitest.PEM(t, leaf)
	_, other := pkitest.PEM(t, ca.Leaf(t, pkitest.Options{NewKey: true}))
	l, k, o := string(chain), string(key), string(other)
	further, der := root(t)
	weird := block("CERTIFICATE", bytes.ReplaceAll(der, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 2}))
	for _, test := range []struct {
		name  string
		file  string
		n     int
		fault FileFault
		want  string
	}{
		{"leaf and key", l + k, 1, NoFault, ""},
		{"key and leaf", k + l, 1, NoFault, ""},
		{"leaf, key, further", l + k + further, 2, NoFault, ""},
		{"a further certificate with an unknown curve", l + weird + k, 2, NoFault, ""},
		{"the parameters of the key", block("EC PARAMETERS", []byte{6, 1, 1}) + k + l, 1, NoFault, ""},
		{"two keys, the leaf's first", k + o + l, 1, NoFault, ""},
		{"two keys, the leaf's second", o + k + l, 1, NoFault, ""},
		{"the key twice", l + k + k, 1, NoFault, ""},
		{"bytes after the key", l + block("PRIVATE KEY", append(mustPEM(t, k), 0, 0)), 1, NoFault, ""},

		{"the leaf is not first", further + l + k, 0, MismatchFault, "the leaf must be the first"},
		{"another key", l + o, 0, MismatchFault, "does not belong"},
		{"no key", l + further, 0, KeyFault, "no PRIVATE KEY block"},
		{"no certificate", k, 0, CertificateFault, "no CERTIFICATE block"},
		{"a leaf with an unknown curve", weird + l + k, 0, CertificateFault, "curve (block 1, CERTIFICATE, line 1)"},
		{"a damaged further certificate", l + strings.Replace(further, "MII", "M!I", 1) + k, 0, CertificateFault, "(block 2, CERTIFICATE"},
		{"a second key that is damaged", l + k + block("PRIVATE KEY", []byte{0x30, 0}), 0, KeyFault, "(block 3, PRIVATE KEY"},
		{"an encrypted key", l + block("ENCRYPTED PRIVATE KEY", []byte{0x30, 0}), 0, KeyFault, "the key is encrypted"},
		{"a key that is encrypted by its headers", l + strings.Replace(k, "KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n", 1), 0, KeyFault, "the key is encrypted"},
		{"a key of OpenSSH", l + block("OPENSSH PRIVATE KEY", []byte("openssh-key-v1\x00")), 0, KeyFault, "ssh-keygen"},
		{"no key in the block", l + block("PRIVATE KEY", der), 0, KeyFault, "none of PKCS #8, PKCS #1 and SEC 1"},
		{"DER", string(der), 0, CertificateFault, "not PEM"},
	} {
		c, fault, err := ReadIdentity([]byte(test.file))
		switch {
		case test.want == "" && (err != nil || len(c.Certificate) != test.n || c.PrivateKey == nil):
			t.Errorf("%s: %d of %d certificates, %v", test.name, len(c.Certificate), test.n, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || fault != test.fault):
			t.Errorf("%s: %v (fault %d), want %q (fault %d)", test.name, err, fault, test.want, test.fault)
		case err != nil && (strings.Contains(err.Error(), "Parse") || strings.Contains(err.Error(), "use ")):
			t.Errorf("%s: the error names a function: %v", test.name, err)
		}
	}
}

func mustPEM(t *testing.T, s string) []byte {
	t.Helper()
	b, _ := pem.Decode([]byte(s))
	if b == nil {
		t.Fatal("no PEM")
	}
	return b.Bytes
}

// TestKeysByContent: a key is what is in it, whatever its label says.
func TestKeysByContent(t *testing.T) {
	ca := pkitest.CA(t)
	for _, kind := range pkitest.Kinds {
		c := ca.Leaf(t, pkitest.Options{Kind: kind})
		chain, _ := pkitest.PEM(t, c)
		forms := map[string][]byte{}
		forms["PKCS #8"], _ = x509.MarshalPKCS8PrivateKey(c.PrivateKey)
		switch key := c.PrivateKey.(type) {
		case *rsa.PrivateKey:
			forms["PKCS #1"] = x509.MarshalPKCS1PrivateKey(key)
		case *ecdsa.PrivateKey:
			forms["SEC 1"], _ = x509.MarshalECPrivateKey(key)
		}
		for form, der := range forms {
			for _, label := range []string{"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY", "ANY PRIVATE KEY", "ED25519 PRIVATE KEY"} {
				if _, _, err := ReadIdentity([]byte(string(chain) + block(label, der))); err != nil {
					t.Errorf("%s, %s under %s: %v", kind, form, label, err)
				}
			}
			if _, _, err := ReadIdentity([]byte(string(chain) + block("PRIVATE KEY", der[:len(der)-1]))); err == nil || strings.Contains(err.Error(), "Parse") {
				t.Errorf("%s, %s, truncated: %v", kind, form, err)
			}
		}
	}
}

// FuzzPEM: no file makes the reader fail otherwise than by an error, and what
// encoding/pem reads it reads too, unless it refuses the whole file.
func FuzzPEM(f *testing.F) {
	a, _ := root(f)
	for _, seed := range []string{a, a + a, "-----BEGIN CERTIFICATE-----\nA: b\n\nAAAA\n-----END CERTIFICATE-----", "x\n-----BEGIN ", "-----BEGIN X-----A-----END X-----"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		blocks, err := ReadPEM(file)
		if err != nil {
			return
		}
		for rest := file; ; {
			var b *pem.Block
			if b, rest = pem.Decode(rest); b == nil {
				return
			}
			if !slices.ContainsFunc(blocks, func(our *Block) bool { return our.Label == b.Type && bytes.Equal(our.DER, b.Bytes) }) && len(b.Bytes) > 0 {
				t.Errorf("a block %q is missing", b.Type)
			}
		}
	})
}
