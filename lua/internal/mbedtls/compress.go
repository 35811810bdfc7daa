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

// compressorName returns the name of an algorithm with that number; 0 is none.
func compressorName(number uint16) string {
	for _, c := range compressors {
		if c.Algorithm == number {
			return c.Name
		}
	}
	return ""
}

// compressorNames are all algorithms, for an error.
func compressorNames() string {
	var all []string
	for _, c := range compressors {
		all = append(all, c.Name)
	}
	return alternatives(all) + missingCompressors
}
