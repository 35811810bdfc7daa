package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/certcompress"
)

// sizeOptions are the flags that make messages smaller.
type sizeOptions struct {
	recordLimit int
	fragment    int // only a client has it
	compress    []string
}

// allCompressors is the value of --compress without one.
const allCompressors = "brotli,zstd,zlib"

func (o *sizeOptions) addTo(f *pflag.FlagSet) {
	f.IntVar(&o.recordLimit, "record-size-limit", 0, "the largest record to receive, in `BYTES`: 64 to 16385 (default: the largest)")
	f.StringSliceVar(&o.compress, "compress", nil, "compress certificates with these `ALGORITHMS`, the preferred first: "+allCompressors)
	f.Lookup("compress").NoOptDefVal = allCompressors
}

func (o *sizeOptions) apply(cfg *hermetic.Config) error {
	cfg.RecordSizeLimit, cfg.MaxFragmentLength = o.recordLimit, o.fragment
	all := certcompress.All()
	for _, name := range o.compress {
		i := slices.IndexFunc(all, func(c hermetic.CertificateCompressor) bool { return c.Name == name })
		if i < 0 {
			return misuse("--compress: %q is none of %s", name, strings.ReplaceAll(allCompressors, ",", ", "))
		}
		cfg.CertificateCompressors = append(cfg.CertificateCompressors, all[i])
	}
	return nil
}

// compressorName returns the name of an algorithm that this program has.
func compressorName(algorithm uint16) string {
	for _, c := range certcompress.All() {
		if c.Algorithm == algorithm {
			return c.Name
		}
	}
	return fmt.Sprintf("algorithm %d", algorithm)
}

// sizes says what was negotiated about sizes, unless it is the ordinary case.
func sizes(s hermetic.ConnectionState) (list []string) {
	const most = 1 << 14 // above it, a limit limits nothing
	if s.PeerRecordSizeLimit > 0 && s.PeerRecordSizeLimit < most {
		list = append(list, fmt.Sprintf("record size limit of the peer %d", s.PeerRecordSizeLimit))
	}
	if s.MaxFragmentLength > 0 {
		list = append(list, fmt.Sprintf("fragments of %d", s.MaxFragmentLength))
	}
	if s.PeerCertificateCompression != 0 {
		list = append(list, "certificate compressed with "+compressorName(s.PeerCertificateCompression))
	}
	return list
}

func printSizes(w io.Writer, s hermetic.ConnectionState) {
	for i, line := range sizes(s) {
		fmt.Fprintf(w, "%-13s %s\n", map[bool]string{true: "Sizes"}[i == 0], line)
	}
}
