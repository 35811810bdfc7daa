package hermetic_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strings"
	"testing"

	. "github.com/hermetic-tls/hermetic"
)

// TestEnumerationsPrint: every exported enumeration, of whatever package, has a String
// method, so that logs show names.
func TestEnumerationsPrint(t *testing.T) {
	found := 0
	for _, dir := range []string{".", "netconn", "filestore", "redisstore", "gnettls"} {
		constants, methods := enumerations(t, dir)
		for name := range constants {
			found++
			if !slices.Contains(methods, name) {
				t.Errorf("%s: %s has constants and no String method", dir, name)
			}
		}
	}
	if found < 7 {
		t.Errorf("only %d enumerations were found", found)
	}
}

// enumerations returns the exported types of a package that have exported constants, and
// those that have a String method.
func enumerations(t *testing.T, dir string) (constants map[string]bool, methods []string) {
	packages, err := parser.ParseDir(token.NewFileSet(), dir, nil, 0) //lint:ignore SA1019 build tags do not matter here
	if err != nil || len(packages) == 0 {
		t.Fatalf("%s: %d packages, %v", dir, len(packages), err)
	}
	constants = make(map[string]bool)
	for _, p := range packages {
		for _, f := range p.Files {
			for _, d := range f.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					if d.Recv != nil && d.Name.Name == "String" {
						methods = append(methods, baseName(d.Recv.List[0].Type))
					}
				case *ast.GenDecl:
					for _, s := range d.Specs {
						if v, ok := s.(*ast.ValueSpec); ok && d.Tok == token.CONST && v.Names[0].IsExported() {
							if name := constantType(v); ast.IsExported(name) {
								constants[name] = true
							}
						}
					}
				}
			}
		}
	}
	return constants, methods
}

// constantType returns the type of a constant, given or by conversion.
func constantType(v *ast.ValueSpec) string {
	if v.Type != nil {
		return baseName(v.Type)
	}
	if len(v.Values) > 0 {
		if call, ok := v.Values[0].(*ast.CallExpr); ok {
			return baseName(call.Fun)
		}
	}
	return ""
}

func baseName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return baseName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// TestEnumerationNames: values print as their constants, and so do those that do not exist.
func TestEnumerationNames(t *testing.T) {
	for _, test := range []struct {
		value fmt.Stringer
		want  string
	}{
		{Async(0), "None"},
		{AsyncChoose, "Choose"},
		{AsyncSign | AsyncVerify, "Sign|Verify"},
		{AsyncSession | AsyncTicketKeys | AsyncPSK | AsyncReplay | AsyncConfig | AsyncClientPSK | 1<<15, "Session|TicketKeys|PSK|Replay|Config|ClientPSK|0x8000"},
		{UpdateRequested, "UpdateRequested"},
		{UpdateNotRequested, "UpdateNotRequested"},
		{ConnectionIDSpare, "Spare"},
		{ConnectionIDImmediate, "Immediate"},
		{KindNone, "None"},
		{KindData, "Data"},
		{KindEarlyData, "EarlyData"},
		{KindNewPath, "NewPath"},
		{Kind(9), "Kind(9)"},
		{DTLSServer, "dtls-server"},
		{Mode(9), "invalid mode"},
		{CertificateRawPublicKey, "RawPublicKey"},
		{AlertDecodeError, "decode_error"},
	} {
		if got := test.value.String(); got != test.want {
			t.Errorf("%T %#v prints as %s, not %s", test.value, test.value, got, test.want)
		}
	}
}

// TestAsyncNames: every question's bit has its name, and no other bit is accepted.
func TestAsyncNames(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	bit := Async(1)
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Async") {
			if name := strings.TrimPrefix(v.Names[0].Name, "Async"); bit.String() != name {
				t.Errorf("Async%s prints as %s", name, bit)
			}
			if _, err := NewEngine(TLSServer, &Config{Async: bit, SessionCache: NewSessionCache(1)}); err != nil {
				t.Error(err)
			}
			bit <<= 1
		}
		return true
	})
	if _, err := NewEngine(TLSServer, &Config{Async: bit}); err == nil || bit == 1 {
		t.Errorf("the bit %s is accepted", bit)
	}
}

// TestErrorsMatch: the errors that a program would react to can be told apart.
func TestErrorsMatch(t *testing.T) {
	block, _ := aes.NewCipher(make([]byte, 16))
	aead, _ := cipher.NewGCM(block)
	established := func(t *testing.T) *Engine {
		client, _ := connect(&Config{InsecureSkipVerify: true}, &Config{})
		return client
	}
	for name, test := range map[string]struct {
		call func(*testing.T) error
		want error
	}{
		"an unknown mode's name":            {func(*testing.T) error { _, err := ParseMode("tls"); return err }, ErrInvalidOperation},
		"an engine of an unknown mode":      {func(*testing.T) error { _, err := NewEngine(0, &Config{}); return err }, ErrInvalidOperation},
		"a context of an unknown mode":      {func(*testing.T) error { _, err := NewContext(9, &Config{}, nil); return err }, ErrInvalidOperation},
		"a Config loaded of an unknown one": {func(*testing.T) error { _, err := LoadConfig(0, "", ""); return err }, ErrInvalidOperation},
		"an empty session":                  {func(*testing.T) error { _, err := new(Session).MarshalBinary(); return err }, ErrInvalidOperation},
		"a session of no bytes":             {func(*testing.T) error { return new(Session).UnmarshalBinary(nil) }, ErrBadSession},
		"a session of zeros":                {func(*testing.T) error { return new(Session).UnmarshalBinary(make([]byte, 100)) }, ErrBadSession},
		"a state of no bytes":               {func(*testing.T) error { _, err := ImportEngine(&Config{}, nil, aead, nil); return err }, ErrBadState},
		"a state of zeros": {func(*testing.T) error {
			_, err := ImportEngine(&Config{}, make([]byte, 100), aead, nil)
			return err
		}, ErrBadState},
		"a sealed state of nothing": {func(*testing.T) error {
			nonce := make([]byte, 12)
			_, err := ImportEngine(&Config{}, aead.Seal(nonce, nonce, nil, []byte("hermetic engine state")), aead, nil)
			return err
		}, ErrBadState},
		"an engine that was exported": {func(t *testing.T) error {
			e := established(t)
			if _, err := e.Export(nil, aead); err != nil {
				t.Fatal(err)
			}
			_, err := e.Seal(nil, []byte("too late"))
			return err
		}, ErrExported},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.call(t); !errors.Is(err, test.want) {
				t.Errorf("%v is not %v", err, test.want)
			}
		})
	}
}

// TestConfigErrorsName: whatever is wrong with a Config is a *ConfigError that names the
// field.
func TestConfigErrorsName(t *testing.T) {
	engine := func(cfg *Config) func() error {
		return func() error { _, err := NewEngine(TLSServer, cfg); return err }
	}
	from := func(cfg *tls.Config) func() error {
		return func() error { _, err := FromTLS(cfg); return err }
	}
	for name, test := range map[string]struct {
		call        func() error
		field, text string
	}{
		"nil":                            {engine(nil), "", "hermetic: Config: it is nil: for the defaults, pass &hermetic.Config{}"},
		"nil for an import":              {func() error { _, err := ImportEngine(nil, nil, nil, nil); return err }, "", "hermetic: Config: it is nil: for the defaults, pass &hermetic.Config{}"},
		"a cookie secret":                {engine(&Config{DTLS: DTLSConfig{CookieSecret: []byte("short")}}), "DTLS.CookieSecret", "hermetic: Config.DTLS.CookieSecret: it has 5 bytes, less than 16"},
		"a demand that does not exist":   {engine(&Config{ClientAuth: 5}), "ClientAuth", "hermetic: Config.ClientAuth: 5 is none of the constants of crypto/tls"},
		"a question that does not exist": {engine(&Config{Async: AsyncSign | 1<<15}), "Async", "hermetic: Config.Async: Sign|0x8000 has a bit that asks nothing"},
		"FromTLS of nil":                 {from(nil), "", "hermetic: tls.Config: it is nil: for the defaults, pass &tls.Config{}"},
		"FromTLS with renegotiation":     {from(&tls.Config{Renegotiation: tls.RenegotiateOnceAsClient}), "Renegotiation", "hermetic: tls.Config.Renegotiation: it cannot be taken over: renegotiation is never done: leave it tls.RenegotiateNever"},
		"FromTLS of a bad value":         {from(&tls.Config{MinVersion: 7}), "MinVersion", ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.call()
			var bad *ConfigError
			if !errors.As(err, &bad) || bad.Field != test.field {
				t.Fatalf("%v is no ConfigError of %q", err, test.field)
			}
			if test.text != "" && err.Error() != test.text {
				t.Errorf("%v, want %s", err, test.text)
			}
		})
	}
}

// TestNegativeSizes: no number of a Config can be negative, unless its comment says what
// that means.
func TestNegativeSizes(t *testing.T) {
	permitted := []string{"DTLS.MaxFlightPause"}
	visit := func(prefix string, v func(*Config) reflect.Value) {
		for i := range v(new(Config)).NumField() {
			field := prefix + v(new(Config)).Type().Field(i).Name
			cfg := &Config{}
			f := v(cfg).Field(i)
			if !f.CanSet() || !f.CanInt() {
				continue
			}
			f.SetInt(-1)
			_, err := NewEngine(TLSServer, cfg)
			var bad *ConfigError
			switch ok := errors.As(err, &bad); {
			case slices.Contains(permitted, field):
				if err != nil {
					t.Errorf("%s: %v", field, err)
				}
			case !ok || bad.Field != field:
				t.Errorf("%s -1: %v", field, err)
			}
		}
	}
	visit("", func(c *Config) reflect.Value { return reflect.ValueOf(c).Elem() })
	visit("DTLS.", func(c *Config) reflect.Value { return reflect.ValueOf(&c.DTLS).Elem() })
}
