package pki

import (
	"crypto/x509"
	"reflect"
)

// constrained reports whether pool may have a constraint on root
// (x509.CertPool.AddCertWithConstraint), which must be asked for each connection.
// A pool does not tell, so this looks at the fields of its type. Where these are
// not those of Go 1.26 everything counts as constrained, and no verdict is
// remembered.
func constrained(pool *x509.CertPool, root *x509.Certificate) bool {
	p := reflect.ValueOf(pool).Elem()
	byName, certs := p.FieldByName("byName"), p.FieldByName("lazyCerts")
	if !byName.IsValid() || byName.Type() != reflect.TypeFor[map[string][]int]() || !certs.IsValid() || certs.Kind() != reflect.Slice {
		return true
	}
	indexes := byName.MapIndex(reflect.ValueOf(string(root.RawSubject)))
	if !indexes.IsValid() {
		return true // the system's verifier has found it, beside the pool
	}
	for i := range indexes.Len() {
		n := int(indexes.Index(i).Int())
		if n < 0 || n >= certs.Len() || certs.Type().Elem().Kind() != reflect.Struct {
			return true
		}
		constraint := certs.Index(n).FieldByName("constraint")
		if !constraint.IsValid() || constraint.Kind() != reflect.Func || !constraint.IsNil() {
			return true
		}
	}
	return false
}
