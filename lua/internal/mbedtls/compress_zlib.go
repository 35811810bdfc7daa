//go:build !certcompress

package mbedtls

import "github.com/hermetic-tls/hermetic"

// compressors are the algorithms for certificates. The others make the library a third larger:
// see compress_all.go, and install-lua --certcompress.
var compressors = []hermetic.CertificateCompressor{hermetic.ZlibCompressor()}

// missingCompressors is the end of an error that tells where the others are.
const missingCompressors = "; brotli and zstd need a build with certcompress"
