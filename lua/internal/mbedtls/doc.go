// Package mbedtls is what the module mbedtls.ssl and its companions do, however
// Lua calls it: configurations by option names, digests, Base64, cookies, and a
// Session that drives an Engine and stops wherever a callback is due. The packages
// gopher and cmodule connect it to Lua.
package mbedtls

import "github.com/hermetic-tls/hermetic"

// Version is the value of ssl.version and mbedtls._VERSION.
const Version = "hermetic " + hermetic.Version
