package mbedtls

import (
	"bytes"
	"os/exec"
	"testing"
)

// TestBuildTags: a build tag, and only that, brings other people's modules in. Each test runs
// itself again with its tag.
func TestBuildTags(t *testing.T) {
	for _, tag := range []struct {
		name, module string
		built        bool
		test         func(t *testing.T)
	}{
		{"fastgroups", "cloudflare/circl", len(exchanges) > 0, withFastGroups},
		{"certcompress", "andybalholm/brotli", missingCompressors == "", withCompressors},
	} {
		t.Run(tag.name, func(t *testing.T) {
			if tag.built {
				tag.test(t)
				return
			}
			if testing.Short() {
				t.Skip("it builds the package again")
			}
			list := exec.Command("go", "list", "-deps", ".")
			if out, err := list.CombinedOutput(); err != nil || bytes.Contains(out, []byte(tag.module)) {
				t.Errorf("without the tag: %v\n%s", err, out)
			}
			again := exec.Command("go", "test", "-tags", tag.name, "-run", "^TestBuildTags$/^"+tag.name+"$", ".")
			if out, err := again.CombinedOutput(); err != nil {
				t.Errorf("with the tag: %v\n%s", err, out)
			}
		})
	}
}

// made makes a client's configuration, with options of type string.
func made(t *testing.T, options ...[2]string) *Config {
	t.Helper()
	var o Options
	for _, given := range append([][2]string{{"mode", "tls-client"}}, options...) {
		if err := o.Set(given[0], "string", given[1]); err != nil {
			t.Fatal(err)
		}
	}
	c, err := o.Config()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func withFastGroups(t *testing.T) {
	if c := made(t); len(c.config.KeyExchanges) != len(exchanges) {
		t.Errorf("a configuration has %d of %d key exchanges", len(c.config.KeyExchanges), len(exchanges))
	}
}

func withCompressors(t *testing.T) {
	list := made(t, [2]string{"compression", "zstd"}, [2]string{"compression", "brotli"}, [2]string{"compression", "zlib"}).config.CertificateCompressors
	if len(list) != 3 || list[0].Algorithm != 3 || list[1].Algorithm != 2 || list[2].Algorithm != 1 {
		t.Errorf("a configuration has %v, want zstd, brotli and zlib", list)
	}
	err := new(Options).Set("compression", "string", "gzip")
	if want := "invalid option 'gzip' for 'compression': it must be brotli, zstd or zlib"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
