package mbedtls

import "github.com/hermetic-tls/hermetic"

// compressorNamed returns the algorithm with that name, of those that are in this build.
func compressorNamed(name string) (hermetic.CertificateCompressor, bool) {
	for _, c := range compressors {
		if c.Name == name {
			return c, true
		}
	}
	return hermetic.CertificateCompressor{}, false
}

// compressorNames are all algorithms, for an error.
func compressorNames() string {
	var all []string
	for _, c := range compressors {
		all = append(all, c.Name)
	}
	return alternatives(all) + missingCompressors
}
