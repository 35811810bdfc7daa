rockspec_format = '3.0'
package = 'hermetic'
version = '0.1.0-1'
source = { url = 'git+https://github.com/hermetic-tls/hermetic.git', tag = 'v0.1.0' }
description = {
  summary = 'TLS and DTLS 1.2 and 1.3 over callbacks: the module mbedtls.ssl',
  detailed = [[
    TLS and DTLS whose transport is two functions of yours, for event loops,
    coroutines and games. Drop-in for the module of that name over mbed TLS.
    It is written in Go: building it needs Go 1.26 and a C compiler.
  ]],
  homepage = 'https://github.com/hermetic-tls/hermetic',
  license = 'MIT',
}
supported_platforms = { 'unix' }
dependencies = { 'lua >= 5.1, < 5.5' }
build = {
  type = 'command',
  -- What it says of package.cpath is of a folder that is gone when LuaRocks has done.
  build_command = './scripts/install-lua --include "$(LUA_INCDIR)" --prefix build.luarocks >/dev/null',
  install_command = 'mkdir -p "$(LIBDIR)" && mv build.luarocks/lib/lua/*/*.so "$(LIBDIR)/" && mkdir -p "$(LUADIR)" && mv build.luarocks/share/lua/*/* "$(LUADIR)/" && rm -r build.luarocks',
}
