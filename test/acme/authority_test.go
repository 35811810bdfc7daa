package acme

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path"
	"sync"
	"testing"
	"time"
)

// An authority is a CA that speaks ACME (RFC 8555), with the challenge tls-alpn-01 only. It takes
// every name to be at one address.
type authority struct {
	url     string
	address string // where names are validated
	key     *ecdsa.PrivateKey
	cert    *x509.Certificate

	mu       sync.Mutex
	serial   int64
	nonces   map[string]bool
	accounts map[string]*ecdsa.PublicKey // by URL
	orders   map[string]*order           // by id
	// validated are the names whose challenge was met, and issued those with a certificate.
	validated, issued []string
}

// order is one order, with its only authorization and its only challenge.
type order struct {
	name, account, token string
	status               string // pending, ready, valid or invalid
	fault                string
	chain                []byte // PEM
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, nonces: map[string]bool{}, accounts: map[string]*ecdsa.PublicKey{}, orders: map[string]*order{}}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ACME test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	nonce := rand.Text()
	a.nonces[nonce] = true
	w.Header().Set("Replay-Nonce", nonce)
	switch {
	case r.URL.Path == "/directory":
		reply(w, http.StatusOK, map[string]any{
			"newNonce": a.url + "/nonce", "newAccount": a.url + "/account", "newOrder": a.url + "/order",
			"meta": map[string]any{"termsOfService": a.url + "/terms"},
		})
	case r.URL.Path == "/nonce":
	case r.Method == http.MethodPost:
		payload, account, err := a.verify(r)
		if err == nil {
			err = a.post(w, r.URL.Path, payload, account)
		}
		if err != nil {
			reply(w, http.StatusForbidden, map[string]string{"type": "urn:ietf:params:acme:error:malformed", "detail": err.Error()})
		}
	default:
		http.NotFound(w, r)
	}
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// base64url decodes RFC 4648's base64url.
func base64url(s string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

// verify checks a request's JWS: RFC 8555, Section 6.2. It returns the account's URL, which is new
// for a new key.
func (a *authority) verify(r *http.Request) (payload []byte, account string, err error) {
	var jws struct{ Protected, Payload, Signature string }
	var head struct {
		Alg, Nonce, URL, Kid string
		JWK                  *struct{ Kty, Crv, X, Y string }
	}
	if err := json.NewDecoder(r.Body).Decode(&jws); err != nil {
		return nil, "", err
	}
	if err := json.Unmarshal(base64url(jws.Protected), &head); err != nil {
		return nil, "", err
	}
	if head.Alg != "ES256" || !a.nonces[head.Nonce] || head.URL != a.url+r.URL.Path {
		return nil, "", fmt.Errorf("the protected header is %+v", head)
	}
	delete(a.nonces, head.Nonce)
	key := a.accounts[head.Kid]
	if head.JWK != nil {
		if key, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, append(base64url(head.JWK.X), base64url(head.JWK.Y)...)...)); err != nil {
			return nil, "", err
		}
		head.Kid = a.url + "/account/" + thumbprint(key)
	}
	sum, signature := sha256.Sum256([]byte(jws.Protected+"."+jws.Payload)), base64url(jws.Signature)
	if key == nil || len(signature) != 64 ||
		!ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return nil, "", errors.New("the signature is bad")
	}
	a.accounts[head.Kid] = key
	return base64url(jws.Payload), head.Kid, nil
}

// thumbprint is that of RFC 7638.
func thumbprint(key *ecdsa.PublicKey) string {
	point, err := key.Bytes()
	if err != nil {
		return ""
	}
	encode := base64.RawURLEncoding.EncodeToString
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, encode(point[1:33]), encode(point[33:])))
	return encode(sum[:])
}

// post answers a verified request.
func (a *authority) post(w http.ResponseWriter, url string, payload []byte, account string) error {
	kind, id := path.Split(url)
	if url == "/account" || url == "/order" {
		kind = url
	}
	o := a.orders[id]
	switch {
	case kind == "/account":
		w.Header().Set("Location", account)
		reply(w, http.StatusCreated, map[string]string{"status": "valid"})
		return nil
	case kind == "/account/":
		reply(w, http.StatusOK, map[string]string{"status": "valid"})
		return nil
	case kind == "/order":
		var want struct {
			Identifiers []struct{ Type, Value string }
		}
		if err := json.Unmarshal(payload, &want); err != nil || len(want.Identifiers) != 1 {
			return fmt.Errorf("the order is %q", payload)
		}
		id, o = rand.Text(), &order{name: want.Identifiers[0].Value, account: account, token: rand.Text(), status: "pending"}
		a.orders[id] = o
		w.Header().Set("Location", a.url+"/order/"+id)
		reply(w, http.StatusCreated, a.describe(id, o))
		return nil
	case o == nil || o.account != account:
		return errors.New("there is no such order of this account")
	}
	switch kind {
	case "/challenge/":
		if len(payload) > 0 && o.status == "pending" { // {}: it is ready to be met
			a.validate(o)
		}
		reply(w, http.StatusOK, a.challenge(id, o))
	case "/authorization/":
		reply(w, http.StatusOK, map[string]any{
			"status": o.authorization(), "identifier": map[string]string{"type": "dns", "value": o.name}, "challenges": []any{a.challenge(id, o)},
		})
	case "/finalize/":
		if err := a.issue(o, payload); err != nil {
			return err
		}
		w.Header().Set("Location", a.url+"/order/"+id)
		reply(w, http.StatusOK, a.describe(id, o))
	case "/order/":
		reply(w, http.StatusOK, a.describe(id, o))
	case "/certificate/":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		w.Write(o.chain)
	default:
		return errors.New("there is no such resource")
	}
	return nil
}

// authorization is the status of the authorization and of its challenge.
func (o *order) authorization() string {
	if o.status == "ready" {
		return "valid"
	}
	return o.status
}

func (a *authority) describe(id string, o *order) map[string]any {
	d := map[string]any{
		"status": o.status, "identifiers": []any{map[string]string{"type": "dns", "value": o.name}},
		"authorizations": []string{a.url + "/authorization/" + id}, "finalize": a.url + "/finalize/" + id,
	}
	if o.chain != nil {
		d["certificate"] = a.url + "/certificate/" + id
	}
	return d
}

func (a *authority) challenge(id string, o *order) map[string]any {
	c := map[string]any{"type": "tls-alpn-01", "url": a.url + "/challenge/" + id, "token": o.token, "status": o.authorization()}
	if o.fault != "" {
		c["error"] = map[string]string{"type": "urn:ietf:params:acme:error:unauthorized", "detail": o.fault}
	}
	return c
}

// idPeACMEIdentifier is the extension of RFC 8737, Section 3.
var idPeACMEIdentifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}

// validate meets the server that has the name: RFC 8737, Section 3.
func (a *authority) validate(o *order) {
	o.status = "invalid"
	conn, err := tls.Dial("tcp", a.address, &tls.Config{NextProtos: []string{"acme-tls/1"}, ServerName: o.name, InsecureSkipVerify: true})
	if err != nil {
		o.fault = err.Error()
		return
	}
	defer conn.Close()
	state := conn.ConnectionState()
	leaf := state.PeerCertificates[0]
	sum := sha256.Sum256([]byte(o.token + "." + thumbprint(a.accounts[o.account])))
	want, err := asn1.Marshal(sum[:])
	if err != nil {
		o.fault = err.Error()
		return
	}
	proven := false
	for _, e := range leaf.Extensions {
		proven = proven || e.Id.Equal(idPeACMEIdentifier) && e.Critical && bytes.Equal(e.Value, want)
	}
	if state.NegotiatedProtocol != "acme-tls/1" || len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != o.name || !proven {
		o.fault = fmt.Sprintf("%s at %s: protocol %q, names %q, proven %t", o.name, a.address, state.NegotiatedProtocol, leaf.DNSNames, proven)
		return
	}
	o.status = "ready"
	a.validated = append(a.validated, o.name)
}

// issue signs the certificate that a finalized order asks for.
func (a *authority) issue(o *order, payload []byte) error {
	var want struct{ CSR string }
	if err := json.Unmarshal(payload, &want); err != nil {
		return err
	}
	csr, err := x509.ParseCertificateRequest(base64url(want.CSR))
	switch {
	case err != nil:
		return err
	case o.status != "ready" || csr.CheckSignature() != nil || len(csr.DNSNames) != 1 || csr.DNSNames[0] != o.name:
		return fmt.Errorf("the order is %s, and the request for %q", o.status, csr.DNSNames)
	}
	a.serial++
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial + 1), DNSNames: csr.DNSNames, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * 90 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.cert, csr.PublicKey, crypto.Signer(a.key))
	if err != nil {
		return err
	}
	for _, c := range [][]byte{der, a.cert.Raw} {
		o.chain = append(o.chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
	}
	o.status = "valid"
	a.issued = append(a.issued, o.name)
	return nil
}
