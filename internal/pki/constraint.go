package pki

import (
	"crypto/x509"
	"reflect"
)

// A pool does not tell whether it has constraints (x509.CertPool.AddCertWithConstraint).
// Constraints must be checked for each connection, so this looks at the fields of the pool's
// type. If they are not those of Go 1.26, everything counts as constrained, and no verdict is
// remembered.
var poolByName, poolCerts, certConstraint, poolKnown = poolFields()

func poolFields() (byName, certs, constraint []int, known bool) {
	pool := reflect.TypeFor[x509.CertPool]()
	b, hasNames := pool.FieldByName("byName")
	c, hasCerts := pool.FieldByName("lazyCerts")
	if !hasNames || b.Type != reflect.TypeFor[map[string][]int]() || !hasCerts || c.Type.Kind() != reflect.Slice ||
		c.Type.Elem().Kind() != reflect.Struct {
		return nil, nil, nil, false
	}
	f, ok := c.Type.Elem().FieldByName("constraint")
	return b.Index, c.Index, f.Index, ok && f.Type.Kind() == reflect.Func
}

// Constrained reports whether pool may have a constraint on any root. It allocates
// nothing.
func Constrained(pool *x509.CertPool) bool {
	if !poolKnown {
		return true
	}
	certs := reflect.ValueOf(pool).Elem().FieldByIndex(poolCerts)
	for i := range certs.Len() {
		if !certs.Index(i).FieldByIndex(certConstraint).IsNil() {
			return true
		}
	}
	return false
}

// constrained reports whether pool may have a constraint on root.
func constrained(pool *x509.CertPool, root *x509.Certificate) bool {
	if !poolKnown {
		return true
	}
	p := reflect.ValueOf(pool).Elem()
	certs := p.FieldByIndex(poolCerts)
	indexes := p.FieldByIndex(poolByName).MapIndex(reflect.ValueOf(string(root.RawSubject)))
	if !indexes.IsValid() {
		return true // the root is not in the pool: the system's verifier has found it
	}
	for i := range indexes.Len() {
		n := int(indexes.Index(i).Int())
		if n < 0 || n >= certs.Len() || !certs.Index(n).FieldByIndex(certConstraint).IsNil() {
			return true
		}
	}
	return false
}
