package main

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// repeated are the flags that may be given more than once.
var repeated = map[string][]string{
	"client": {"cert", "compress", "key", "psk", "psk-file"},
	"server": {"cert", "compress", "key", "psk", "psk-file"},
}

// valueFor are valid values for the types of flags.
var valueFor = map[string]string{
	"bool": "true", "int": "1", "uint32": "1", "uint64": "1", "string": "x", "duration": "1s", "client-auth": "request", "file": "x", "cid": "1",
}

// values are valid values for flags whose type does not say which.
var values = map[string]string{"ciphers": "TLS_AES_128_GCM_SHA256", "groups": "X25519", "srtp": "SRTP_AEAD_AES_128_GCM"}

// TestTwice: every flag of every command that takes one value is an error when it is given twice.
func TestTwice(t *testing.T) {
	walked := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		var may []string
		path := strings.Fields(c.CommandPath())[1:]
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if repeatable(f) {
				may = append(may, f.Name)
				return
			}
			walked++
			value, ok := values[f.Name]
			if !ok {
				value = valueFor[f.Value.Type()]
			}
			flag := "--" + f.Name + "=" + value
			err := runCommand(append(path, flag, flag)...)
			if want := "--" + f.Name + ": it takes one value, but is given twice"; err == nil || err.Error() != want || exitCode(err) != exitUsage {
				t.Errorf("%s %s %s: %v", path, flag, flag, err)
			}
		})
		if want := repeated[c.Name()]; !slices.Equal(may, want) {
			t.Errorf("%s: %q may be given twice, want %q", path, may, want)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(rootCommand())
	if walked < 80 {
		t.Errorf("only %d flags were tried", walked)
	}
}

// TestBadValues: the error for a bad value names the flag, the value and what is allowed.
func TestBadValues(t *testing.T) {
	for _, test := range []struct{ command, flag, value, want string }{
		{"server", "tickets", "many", "--tickets: many is not a number"},
		{"server", "tickets", "", `--tickets: "" is not a number`},
		{"server", "tickets", "99", "--tickets: 99 is not from 0 to 16"},
		{"server", "early-data", "-1", "--early-data: -1 is not a number from 0 to 4294967295"},
		{"server", "tickets", "-1", "--tickets: -1 is not"},
		{"server", "cacert", "", "--cacert: the file's name is empty"},
		{"server", "keylog", "", "--keylog: the file's name is empty"},
		{"server", "cert", "", "--cert: the file's name is empty"},
		{"server", "cid", "-1", "--cid: -1 is not from 0 to 255"},
		{"server", "cid", "256", "--cid: 256 is not from 0 to 255"},
		{"server", "cid", "99999999999999999999", "--cid: 99999999999999999999 is not from 0 to 255"},
		{"server", "cid", "x", "--cid: x is not a number"},
		{"server", "cid", "8", "--cid is for DTLS: add --dtls"},
		{"server", "mtu", "900", "--mtu is for DTLS: add --dtls"},
		{"server", "record-size-limit", "-5", "--record-size-limit: -5 is not"},
		{"server", "policy", "none", `--policy: "none" is none of fips`},
		{"server", "alpn", "h3", "--alpn: h3 is not h2 or http/1.1"},
		{"server", "psk-file", "", "--psk-file: "},
		{"client", "session", "", "--session: the file's name is empty"},
		{"server", "echo", "perhaps", "--echo: perhaps is not true or false"},
		{"server", "client-auth", "a b", `--client-auth: "a b" is not request, require or verify`},
		{"server", "record-size-limit", "1", "--record-size-limit: 1 is not"},
		{"server", "compress", "rar", `--compress: "rar" is none of brotli, zstd, zlib`},
		{"server", "keylog", "no/such", "--keylog: open no/such: no such file or directory"},
		{"server", "groups", "\x1b[2J", `--groups: "\x1b[2J" is not a group: choose from `},
		{"client", "max-fragment", "7", "--max-fragment: 7 is none of 512, 1024, 2048 and 4096"},
		{"client", "servername", "a b", "--servername: it has a character that a server name cannot have"},
		{"client", "timeout", "-1s", "--timeout: -1s is not a time above zero"},
		{"client", "early-data", "no/such", "--early-data: open no/such: no such file or directory"},
		{"cert", "days", "1e9", "--days: 1e9 is not a number"},
	} {
		args := []string{test.command, "--" + test.flag + "=" + test.value}
		if test.command != "cert" {
			args = append(args, "127.0.0.1:1")
		}
		err := runCommand(args...)
		if err == nil || !strings.HasPrefix(inFlags(err), test.want) {
			t.Errorf("%q: %v, want %s", args, err, test.want)
			continue
		}
		if got := exitCode(err); got != exitUsage {
			t.Errorf("%q: exit code %d", args, got)
		}
	}
}

// FuzzPSKFile: no error quotes a key, and what is accepted is complete.
func FuzzPSKFile(f *testing.F) {
	for _, s := range []string{"", "a:" + strings.Repeat("00", 16), "# x\n\na:b:" + strings.Repeat("0f", 32) + "\r\n", "a:00\n", ":00", "a:" + strings.Repeat("0", 33)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		var o pskOptions
		if err := o.addFile("keys", data); err != nil {
			if !strings.HasPrefix(err.Error(), "keys:") && !strings.HasPrefix(err.Error(), "keys has no key") || len(err.Error()) > 12*maxPrinted {
				t.Errorf("%v", err)
			}
			return
		}
		for _, k := range o.keys {
			if len(k.Identity) == 0 || len(k.Key) < minPSK {
				t.Errorf("%q has a key of %d bytes", k.Identity, len(k.Key))
			}
		}
	})
}

// runCommand runs the command line, whose output is dropped.
func runCommand(args ...string) error {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	return root.Execute()
}
