package pki

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hermetic-tls/hermetic/internal/alert"
)

// Block is a block of PEM (RFC 7468).
type Block struct {
	Label     string // "CERTIFICATE"
	DER       []byte
	Encrypted bool // as the headers of RFC 1421 say
	number    int  // in the file, the first is 1
	line      int
}

// Wrap says which block of the file err is about.
func (b *Block) Wrap(err error) error {
	return fmt.Errorf("%w (block %d, %s, line %d)", err, b.number, alert.Clean(b.Label), b.line)
}

// IsCertificate reports whether it has one of the three labels that OpenSSL reads
// certificates under.
func (b *Block) IsCertificate() bool {
	return b.Label == "CERTIFICATE" || b.Label == "X509 CERTIFICATE" || b.isTrusted()
}

func (b *Block) isTrusted() bool { return b.Label == "TRUSTED CERTIFICATE" }

// IsPrivateKey reports whether it has the label of a private key, of any kind.
func (b *Block) IsPrivateKey() bool { return strings.HasSuffix(b.Label, "PRIVATE KEY") }

// foreign are the ends of the labels of blocks that we skip.
var foreign = []string{"PUBLIC KEY", " PARAMETERS", " CRL", "CERTIFICATE REQUEST", "PKCS7", "CMS", "ATTRIBUTE CERTIFICATE", "RPK"}

func (b *Block) known() bool {
	return b.IsCertificate() || b.IsPrivateKey() ||
		slices.ContainsFunc(foreign, func(end string) bool { return strings.HasSuffix(b.Label, end) })
}

const (
	begin = "-----BEGIN "
	end   = "-----END "
	dash  = "-----"
	bom   = "\ufeff" // may also occur within a file that was joined from several
)

var (
	errUTF16      = errors.New("the file is UTF-16: save it as UTF-8")
	errDER        = errors.New("the file is DER or PKCS #12, not PEM: convert it with openssl")
	errDamaged    = errors.New("a PEM block is truncated or damaged")
	errNoEnd      = errors.New("its END line is missing")
	errOtherEnd   = errors.New("its END line has another label")
	errBase64     = errors.New("its base64 is damaged")
	errEmptyBlock = errors.New("it is empty")
	errLabel      = errors.New("there is no such label")
	errNoBegin    = errors.New("it is the inside of a block without a BEGIN line, or with a damaged one")
	errBoundary   = errors.New("it looks like the BEGIN or END line of a block, and is none")
)

// ReadPEM returns all blocks of a file. Text between blocks is skipped. If it looks like a part
// of a block, the file is damaged: this is an error, since to skip the block would hide the
// damage. Lines may be indented and have any line end. A block may begin on the line on which
// the previous one ends.
func ReadPEM(file []byte) ([]*Block, error) {
	switch {
	case bytes.HasPrefix(file, []byte("\xff\xfe")), bytes.HasPrefix(file, []byte("\xfe\xff")):
		return nil, errUTF16
	case len(file) > 1 && file[0] == 0x30 && (file[1] >= 0x80 || int(file[1]) == len(file)-2):
		return nil, errDER
	}
	r := &pemReader{rest: string(file)}
	var blocks []*Block
	for {
		line, ok := r.next()
		if !ok {
			return blocks, nil
		}
		label, ok := boundary(line, begin)
		if !ok {
			if err := text(line); err != nil {
				return nil, fmt.Errorf("%w: %w (after block %d, line %d)", errDamaged, err, len(blocks), r.line)
			}
			continue
		}
		b := &Block{Label: label, number: len(blocks) + 1, line: r.line}
		r.after(line, begin, label)
		if err := r.block(b); err != nil {
			return nil, b.Wrap(fmt.Errorf("%w: %w", errDamaged, err))
		}
		blocks = append(blocks, b)
	}
}

// boundary takes the label out of a line that is or begins with a BEGIN or END
// line.
func boundary(line, kind string) (label string, ok bool) {
	if !strings.HasPrefix(line, kind) {
		return "", false
	}
	label, _, ok = strings.Cut(line[len(kind):], dash)
	return label, ok
}

// text refuses lines between blocks that look like parts of a block. A comment may contain
// anything.
func text(line string) error {
	upper := longDashes.Replace(strings.ToUpper(line))
	words := strings.FieldsFunc(upper, func(r rune) bool { return r == ' ' || r == '\t' || r == '-' })
	bounds := strings.Contains(upper, "--") && (slices.Contains(words, "BEGIN") || slices.Contains(words, "END"))
	if strings.HasPrefix(upper, "-") { // then a space may be missing as well
		bounds = strings.Contains(upper, "BEGIN") || strings.Contains(upper, "END")
	}
	bounds = bounds || strings.HasPrefix(line, "BEGIN ") || strings.HasPrefix(line, "END ")
	switch {
	case strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";"):
		return nil
	case bounds && (strings.Contains(upper, "CERT") || strings.Contains(upper, "KEY")),
		strings.HasPrefix(line, begin), strings.HasPrefix(line, end):
		return errBoundary
	case len(line) >= 48 && strings.HasPrefix(line, "MII") && !strings.ContainsFunc(line, notBase64):
		return errNoBegin // the Base64 of DER of 256 bytes or more begins like this
	}
	return nil
}

// longDashes are the dashes that a word processor makes of two hyphens.
var longDashes = strings.NewReplacer("\u2010", "-", "\u2011", "-", "\u2012", "--", "\u2013", "--", "\u2014", "--", "\u2015", "--", "\u2212", "-")

func notBase64(r rune) bool {
	return !('A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '+' || r == '/' || r == '=')
}

// pemReader reads lines, without the white space around them.
type pemReader struct {
	rest string
	held string // the rest of a line, after a boundary in it
	line int
}

func (r *pemReader) next() (line string, ok bool) {
	if r.held != "" {
		line, r.held = r.held, ""
		return line, true
	}
	if r.rest == "" {
		return "", false
	}
	i := strings.IndexAny(r.rest, "\r\n")
	if i < 0 {
		i = len(r.rest)
	}
	line, r.rest = r.rest[:i], r.rest[i:]
	if !strings.HasPrefix(r.rest, "\r\n") {
		r.rest = r.rest[min(1, len(r.rest)):]
	} else {
		r.rest = r.rest[2:]
	}
	r.line++
	return strings.TrimSpace(strings.TrimPrefix(line, bom)), true
}

// after holds back what follows a boundary on its line.
func (r *pemReader) after(line, kind, label string) {
	r.held = strings.TrimSpace(line[len(kind)+len(label)+len(dash):])
}

// block reads a block after its BEGIN line.
func (r *pemReader) block(b *Block) error {
	if !b.known() {
		return errLabel
	}
	var body strings.Builder
	for first := true; ; first = false {
		line, ok := r.next()
		if !ok || strings.HasPrefix(line, begin) {
			return errNoEnd
		}
		if label, ok := boundary(line, end); ok {
			r.after(line, end, label)
			if label != b.Label {
				return errOtherEnd
			}
			break
		}
		if i := strings.Index(line, end); i > 0 { // glued to the base64
			r.held, line = line[i:], line[:i]
		}
		if first && strings.Contains(line, ":") {
			if b.Encrypted, ok = r.headers(line); !ok {
				return errNoEnd
			}
			continue
		}
		body.WriteString(strings.Join(strings.Fields(line), ""))
	}
	der, err := base64.StdEncoding.DecodeString(body.String())
	switch {
	case err != nil:
		return errBase64
	case len(der) == 0:
		return errEmptyBlock
	}
	b.DER = der
	return nil
}

// headers reads the headers of RFC 1421, from the first up to the empty line after
// them.
func (r *pemReader) headers(line string) (encrypted, ok bool) {
	for ok = true; ok && line != ""; line, ok = r.next() {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "Proc-Type") && strings.Contains(value, "ENCRYPTED") {
			encrypted = true
		}
		if strings.HasPrefix(line, dash) {
			return false, false
		}
	}
	return encrypted, ok
}
