//go:build certcompress

package mbedtls

import "github.com/hermetic-tls/hermetic/certcompress"

// compressors are the algorithms for certificates.
var compressors = certcompress.All()

const missingCompressors = ""
