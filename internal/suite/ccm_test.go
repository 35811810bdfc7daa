package suite

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

// TestCCMWycheproof: the published vectors with nonces of 12 bytes.
func TestCCMWycheproof(t *testing.T) {
	data, err := os.ReadFile("../../../shared/vectors/wycheproof_aes_ccm.json")
	if err != nil {
		if _, shared := os.Stat("../../../shared"); shared == nil {
			t.Fatal(err)
		}
		t.Skipf("no vectors: %v", err)
	}
	type hexBytes = string
	var file struct {
		TestGroups []struct {
			IVSize, TagSize int
			Tests           []struct {
				TCID                       int
				Key, IV, AAD, Msg, CT, Tag hexBytes
				Comment, Result            string
			}
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, g := range file.TestGroups {
		make := newCCM
		switch {
		case g.IVSize != 96:
			continue
		case g.TagSize == 64:
			make = newCCM8
		case g.TagSize != 128:
			continue
		}
		for _, c := range g.Tests {
			decode := func(s string) []byte {
				b, err := hex.DecodeString(s)
				if err != nil {
					t.Fatal(err)
				}
				return b
			}
			ran++
			aead, nonce, aad, msg := make(decode(c.Key)), decode(c.IV), decode(c.AAD), decode(c.Msg)
			sealed := append(decode(c.CT), decode(c.Tag)...)
			valid := c.Result == "valid"
			if got := aead.Seal(nil, nonce, msg, aad); bytes.Equal(got, sealed) != valid {
				t.Errorf("%d (%s): Seal gives %x, the vector is %s", c.TCID, c.Comment, got, c.Result)
			}
			got, err := aead.Open(sealed[:0], nonce, sealed, aad) // in place
			if (err == nil) != valid || valid && !bytes.Equal(got, msg) {
				t.Errorf("%d (%s): Open gives %x, %v; the vector is %s", c.TCID, c.Comment, got, err, c.Result)
			}
		}
	}
	if ran < 100 {
		t.Errorf("only %d vectors have run", ran)
	}
}

// TestCCMAllocations: none for a record.
func TestCCMAllocations(t *testing.T) {
	aead := newCCM(make([]byte, 16))
	nonce, aad, buf := make([]byte, 12), make([]byte, 13), make([]byte, 0, 2048)
	n := testing.AllocsPerRun(100, func() {
		b := aead.Seal(buf, nonce, buf[:1000], aad)
		if _, err := aead.Open(b[:0], nonce, b, aad); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}
