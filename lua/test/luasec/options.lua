-- Options of the module `ssl`: what they mean, and what is said of those that cannot be.
local h, t = require 'harness', require 'sockets'
local ssl = require 'ssl'

local tests = {}

-- Why there is no context; in our words only.
local function refused(cfg, text)
  local ctx, err = ssl.newcontext(cfg)
  if ctx then error('a context, want an error with ' .. text, 2) end
  if not t.original and not tostring(err):find(text, 1, true) then error(('%q lacks %q'):format(tostring(err), text), 2) end
end

tests['protocols'] = function()
  for protocol, version in pairs { any = 'TLSv1.3', sslv23 = 'TLSv1.3', tlsv1_2 = 'TLSv1.2', tlsv1_3 = 'TLSv1.3' } do
    h.same(t.established(t.client { protocol = protocol }):info 'protocol', version)
  end
  h.same(t.established(t.client { options = { 'all', 'no_tlsv1_3' } }):info 'protocol', 'TLSv1.2')
  h.same(t.established(nil, t.server { options = 'no_tlsv1_3' }):info 'protocol', 'TLSv1.2')
  refused(t.client { protocol = 'nonsense' }, 'invalid protocol (nonsense)')
end

tests['what cannot be supported says what to use'] = function()
  if t.original then h.skip 'LuaSec supports it' end
  refused(t.client { protocol = 'sslv3' }, 'use any, tlsv1_2 or tlsv1_3')
  refused(t.client { protocol = 'tlsv1' }, 'TLS 1.0 is broken')
  refused(t.client { protocol = 'tlsv1_1' }, 'TLS 1.1 is broken')
  refused(t.client { dane = true }, 'dane is not supported: compare')
  refused(t.server { dhparam = function() end }, 'use curveslist for ECDHE')
  refused(t.client { ciphers = 'AES128-SHA:DES-CBC3-SHA' }, 'use ECDHE with AESGCM or CHACHA20')
  refused(t.client { ciphers = 'EDH+AESGCM' }, 'no cipher match')
  refused(t.client { options = { 'allow_unsafe_legacy_renegotiation' } }, 'there is no renegotiation')
  refused(t.client { options = { 'no_tlsv1_2', 'no_tlsv1_3' } }, 'leave no protocol')
  refused(t.client { verifyext = 'crl_check_chain' }, 'use crl_check')
  local c = t.pair()
  h.throws('dane is not supported', c.setdane, c, 'x')
end

tests['cipher strings'] = function()
  local rsa = { key = h.file 'rsa.key', certificate = h.file 'rsa.crt' }
  for text, cipher in pairs {
    ['ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384'] = 'ECDHE-RSA-AES128-GCM-SHA256',
    ['ECDHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-AES128-GCM-SHA256'] = 'ECDHE-RSA-AES256-GCM-SHA384',
    ['HIGH:!aNULL:!AES128:!CHACHA20'] = 'ECDHE-RSA-AES256-GCM-SHA384',
    ['ECDHE+AESGCM:!AES256'] = 'ECDHE-RSA-AES128-GCM-SHA256',
    ['EECDH+CHACHA20:EECDH+AESGCM'] = 'ECDHE-RSA-CHACHA20-POLY1305',
    ['ALL:!aRSA:ECDHE-RSA-AES256-GCM-SHA384:aRSA+AES128'] = false,
    ['ALL:-AES128:-CHACHA20:RC4-MD5:@STRENGTH'] = 'ECDHE-RSA-AES256-GCM-SHA384',
    ['RC4-MD5:ECDHE-RSA-AES128-GCM-SHA256:!RC4'] = 'ECDHE-RSA-AES128-GCM-SHA256',
  } do
    local c, s = t.pair(t.client { protocol = 'tlsv1_2', ciphers = text }, t.server { key = rsa.key, certificate = rsa.certificate, ciphers = text })
    if cipher then
      h.same(t.shake(c, s), nil, text)
      h.same(c:info 'cipher', cipher, text)
    else
      h.same(t.shake(c, s), 'sslv3 alert handshake failure', text)
    end
  end
end

tests['both lists are of their own protocol'] = function()
  local both = { ciphers = 'ECDHE-ECDSA-AES256-GCM-SHA384', ciphersuites = 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256' }
  h.same(t.established(t.client(both), t.server(both)):info 'cipher', 'TLS_AES_256_GCM_SHA384')
  both.protocol = 'tlsv1_2'
  h.same(t.established(t.client(both)):info 'cipher', 'ECDHE-ECDSA-AES256-GCM-SHA384')
  h.same(t.established(t.client { ciphers = 'ECDHE-ECDSA-AES256-GCM-SHA384' }):info 'protocol', 'TLSv1.3')
  refused(t.client { ciphersuites = 'TLS_NONSENSE' }, 'TLS_NONSENSE is not a cipher suite of TLS 1.3')
end

tests['curves'] = function()
  for _, cfg in ipairs { { curve = 'secp384r1' }, { curve = 'prime256v1' }, { curveslist = 'P-521:P-384' }, { curveslist = 'X25519' } } do
    t.established(t.client(cfg))
  end
  refused(t.client { curve = 'brainpoolP256r1x' }, "elliptic curve 'brainpoolP256r1x' not supported")
  refused(t.client { curveslist = 'P-256:nonsense' }, 'unknown elliptic curve in "P-256:nonsense"')
  local c, s = t.pair(t.client { curve = 'secp521r1' }, t.server { curve = 'secp384r1' })
  h.same(t.shake(c, s), 'sslv3 alert handshake failure')
end

tests['files that do not load'] = function()
  refused(t.server { key = '/nowhere' }, 'error loading private key (/nowhere')
  refused(t.server { certificate = '/nowhere' }, 'error loading certificate (/nowhere')
  refused(t.client { cafile = '/nowhere' }, 'error loading CA locations (/nowhere')
  refused(t.client { cafile = h.file 'text' }, 'error loading CA locations (')
  refused(t.server { certificate = h.file 'text' }, 'error loading certificate (')
  refused(t.server { key = h.file 'text' }, 'error loading')
  refused(t.server { key = h.file 'rsa.key' }, 'private key does not match public key')
end

tests['passwords'] = function()
  local asked = 0
  for _, password in ipairs { 'correct horse', function() asked = asked + 1 return 'correct horse' end } do
    t.established(nil, t.server { key = h.file 'encrypted.key', password = password })
  end
  h.same(asked, 1)
  refused(t.server { key = h.file 'encrypted.key', password = 'wrong' }, 'error loading private key (')
  refused(t.server { key = h.file 'encrypted.key', password = function() end }, 'error loading private key (')
  refused(t.server { key = h.file 'encrypted.key', password = 5 }, 'invalid password type')
end

tests['certificates, by kind of key'] = function()
  local server = t.server { certificates = {
    { certificate = h.file 'server.crt', key = h.file 'key.pem' }, { certificate = h.file 'rsa.crt', key = h.file 'rsa.key' },
  } }
  local names = { ECDSA = 'EC', RSA = 'RSA' }
  for authentication, kind in pairs(names) do
    local c = t.established(t.client { protocol = 'tlsv1_2', ciphers = 'a' .. authentication }, server)
    h.same((select(2, c:getpeercertificate():pubkey())), kind)
  end
end

tests['wrong values'] = function()
  refused(t.client { verify = 'sometimes' }, 'invalid verify option (sometimes)')
  refused(t.client { verify = { 'peer', 'sometimes' }, cafile = h.file 'ca.pem' }, 'invalid verify option (sometimes)')
  refused(t.client { options = 'nonsense' }, 'invalid option (nonsense)')
  refused(t.client { verifyext = 'nonsense' }, 'invalid verify option (nonsense)')
  refused(t.client { alpn = {} }, 'invalid ALPN list (empty)')
  refused(t.client { alpn = { '' } }, 'invalid ALPN name (empty string)')
  refused(t.client { alpn = ('x'):rep(256) }, 'invalid ALPN name (length > 255)')
  refused(t.client { alpn = 5 }, 'invalid ALPN parameter')
  refused(t.client { alpn = function() end }, 'invalid ALPN parameter')
  if t.original then return end
  refused(t.client { mode = 'both' }, 'invalid mode (both)')
  refused(t.client { protocol = false }, 'invalid protocol')
  refused(t.client { verify = 'peer' }, 'verify needs cafile or capath')
  h.throws('table expected', ssl.newcontext, 5)
end

tests['more options of ours'] = function()
  if t.original then h.skip 'they are ours' end
  local c = t.established(t.client { more = { readahead = true, groups = 'X25519' } })
  assert(c:info 'cipher')
  refused(t.client { more = { color = 'red' } }, "unknown option 'color'")
end

tests['config says what there is'] = function()
  local config = ssl.config
  assert(config.protocols.tlsv1_2 and config.protocols.tlsv1_3 and config.algorithms.ec)
  assert(config.capabilities.alpn and config.capabilities.curves_list and config.options.no_tlsv1_3)
  assert(config.curves.prime256v1 and config.curves.secp384r1)
  if not t.original then assert(not config.protocols.tlsv1 and not config.capabilities.dane) end
  assert(ssl._VERSION:find '^%d+%.%d+%.%d+$')
end

tests['every option of config is accepted'] = function()
  for option in pairs(ssl.config.options) do
    if not option:find '^no_tlsv1_[23]$' and not option:find 'mask' then assert(ssl.newcontext(t.client { options = option })) end
  end
end

tests['the modules below'] = function()
  local context, core, x509 = require 'ssl.context', require 'ssl.core', require 'ssl.x509'
  local ctx = assert(context.create 'any')
  h.results(true)(context.setmode(ctx, 'client'))
  h.results(true)(context.locations(ctx, h.file 'ca.pem'))
  h.results(true)(context.setverify(ctx, 'peer'))
  h.results(true)(context.setcipher(ctx, 'HIGH'))
  h.results(true)(context.setoptions(ctx, 'all', 'no_sslv3'))
  h.results(true)(context.setdepth(ctx, 3))
  local a, b = t.tcp()
  local c = assert(core.create(ctx))
  core.setfd(c, a:getfd())
  a:setfd(core.SOCKET_INVALID)
  c:settimeout(0)
  local s = assert(ssl.wrap(b, t.server()))
  s:settimeout(0)
  h.same(t.shake(c, s), nil)
  assert(x509.load(h.content 'server.crt'))
end

h.run(tests)
