-- Compressed certificates (RFC 8879) by a build with --certcompress: each algorithm in handshakes.
local h, t = require 'harness', require 'transport'
local ssl = require 'mbedtls.ssl'

local tests = {}

-- A handshake with certificates on both sides. Returns how they were compressed, the server's
-- first.
local function compressed(kind, client, server)
  local function config(role, compression)
    local chain = h.file(role == 'server' and 'chain.pem' or 'clientchain.pem')
    return ssl.newconfig { mode = kind .. '-' .. role, cert = chain, cacert = h.file 'ca.pem', compression = compression,
      hostname = role == 'client' and 'localhost' or nil }
  end
  local new = kind == 'dtls' and t.datagrams or t.stream
  local c, s = t.pair(config('client', client), config('server', server), new)
  if kind == 'dtls' then -- the server gives a cookie, then takes it
    for _ = 1, 2 do
      s:setpeerid 'client'
      h.results(nil, 'want-read')(c:handshake())
      s:handshake()
    end
  end
  h.same(t.shake(c, s), nil)
  h.results(5)(c:write 'hello')
  h.results('hello')(s:read(100))
  local there, here = c:info(), s:info()
  h.same(there.peercompression, here.compression)
  h.same(here.peercompression, there.compression)
  return here.compression, there.compression
end

for _, kind in ipairs { 'tls', 'dtls' } do
  for _, algorithm in ipairs { 'brotli', 'zstd', 'zlib' } do
    tests[kind .. ': ' .. algorithm] = function()
      h.results(algorithm, algorithm)(compressed(kind, algorithm, { algorithm }))
    end
  end

  tests[kind .. ': without a common algorithm nothing is compressed'] = function()
    h.results(nil, nil)(compressed(kind, 'brotli', { 'zstd', 'zlib' }))
    h.results(nil, nil)(compressed(kind, nil, { 'zstd', 'brotli', 'zlib' }))
  end

  tests[kind .. ': the common one, and of several the sender\'s first'] = function()
    h.results('zstd', 'zstd')(compressed(kind, { 'brotli', 'zstd' }, { 'zlib', 'zstd' }))
    h.results('zstd', 'brotli')(compressed(kind, { 'brotli', 'zstd' }, { 'zstd', 'brotli' }))
  end
end

tests['a certificate that is compressed is smaller'] = function()
  local function size(compression)
    local config = { mode = 'tls-server', cert = h.file 'chain.pem', compression = compression }
    local _, _, _, down = t.established(ssl.newconfig { mode = 'tls-client', compression = compression }, ssl.newconfig(config))
    return #table.concat(down.sent)
  end
  local whole = size(nil)
  for _, algorithm in ipairs { 'brotli', 'zstd' } do
    local less = size(algorithm)
    assert(less < whole - 100, ('%s: the server sends %d bytes, and %d without'):format(algorithm, less, whole))
  end
end

tests['another name'] = function()
  h.throws("invalid option 'gzip' for 'compression': it must be brotli, zstd or zlib", ssl.newconfig,
    { mode = 'tls-client', compression = 'gzip' })
end

h.run(tests)
