// Package mbedtls is what the module mbedtls.ssl and its companions do, without
// a word about how Lua calls it: configurations by option names, digests,
// Base64, cookies, and a Session that stops wherever a callback is due. The
// packages gopher and cmodule are the two ways in.
package mbedtls

import "github.com/hermetic-tls/hermetic"

// Version is what ssl.version says, and mbedtls._VERSION.
const Version = "hermetic " + hermetic.Version
