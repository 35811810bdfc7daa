-- Whom to accept: verify, depth and purpose, and verifychain.
local h, t = require 'harness', require 'transport'
local ssl = require 'mbedtls.ssl'

local tests = {}

local function client(more)
  local cfg = { mode = 'tls-client', versions = os.getenv('HERMETIC_TEST_VERSION') }
  for k, v in pairs(more) do cfg[k] = v end
  return ssl.newconfig(cfg)
end

local function server(more)
  local cfg = { mode = 'tls-server', cert = h.file 'server.pem' }
  for k, v in pairs(more) do cfg[k] = v end
  return ssl.newconfig(cfg)
end

-- What goes wrong between them; a client may hear of it when it reads.
local function meet(c, s)
  local cc, sc = t.pair(client(c), server(s))
  local err = t.shake(cc, sc)
  if err then return err end
  local _, later = cc:read(1)
  if not t.waits(later) then return later end
end

local function goes(c, s) h.same(meet(c, s), nil) end

local function fails(text, c, s)
  local err = meet(c, s)
  if not err or not err:find(text, 1, true) then error(('%q lacks %q'):format(tostring(err), text), 2) end
end

tests['chain: no name is verified, but all else'] = function()
  goes({ cacert = h.file 'ca.pem', verify = 'chain', hostname = 'other.example' }, {})
  fails('not for other.example', { cacert = h.file 'ca.pem', hostname = 'other.example' }, {})
  fails('unknown authority', { cacert = h.file 'ca.pem', verify = 'chain' }, { cert = h.file 'other.pem' })
  fails('expired', { cacert = h.file 'ca.pem', verify = 'chain' }, { cert = h.file 'expired.pem' })
  fails('incompatible key usage', { cacert = h.file 'ca.pem', verify = 'chain' }, { cert = h.file 'client.pem' })
  goes({ cacert = h.file 'ca.pem', verify = 'chain', purpose = 'any' }, { cert = h.file 'client.pem' })
end

tests['chain: revocation and depth apply'] = function()
  fails('is revoked', { cacert = h.file 'ca.pem', verify = 'chain', crl = h.file 'revoked.pem' }, {})
  for _, verify in ipairs { 'chain', 'required' } do
    goes({ cacert = h.file 'ca.pem', verify = verify, depth = 1, hostname = 'localhost' }, { cert = h.file 'chain.pem' })
    fails('too long', { cacert = h.file 'ca.pem', verify = verify, depth = 0, hostname = 'localhost' }, { cert = h.file 'chain.pem' })
    goes({ cacert = h.file 'ca.pem', verify = verify, depth = 0, hostname = 'localhost' }, {})
  end
end

tests['request and require-any: any certificate, judged afterwards'] = function()
  for _, verify in ipairs { 'request', 'require-any' } do
    local c, s = t.established(client { cert = h.file 'other.pem' }, server { cacert = h.file 'ca.pem', verify = verify })
    assert(s:info().peer)
    h.fails(s:verifypeer())
    c, s = t.established(client { cert = h.file 'client.pem' }, server { cacert = h.file 'ca.pem', verify = verify })
    h.results(true)(s:verifypeer())
    c, s = t.established(client { cert = h.file 'client.pem' }, server { verify = verify })
    h.fails(s:verifypeer())
  end
  goes({}, { verify = 'request' })
  fails('certificate', {}, { verify = 'require-any' })
end

tests['purpose: a server\'s certificate is none of a client'] = function()
  for _, verify in ipairs { 'required', 'optional' } do
    local c = { cert = h.file 'server.pem' }
    assert(meet(c, { cacert = h.file 'ca.pem', verify = verify }))
    goes(c, { cacert = h.file 'ca.pem', verify = verify, purpose = 'any' })
  end
  goes({}, { cacert = h.file 'ca.pem', verify = 'optional', purpose = 'any' })
  assert(meet({}, { cacert = h.file 'ca.pem', verify = 'required', purpose = 'any' }))
  assert(meet({ cert = h.file 'other.pem' }, { cacert = h.file 'ca.pem', verify = 'required', purpose = 'any' }))
end

tests['what does not fit'] = function()
  h.throws("option 'verify' needs 'cacert'", client, { verify = 'chain' })
  h.throws("invalid option 'request' for 'verify'", client, { verify = 'request' })
  h.throws("invalid option 'require-any' for 'verify'", client, { verify = 'require-any' })
  h.throws("invalid option 'chain' for 'verify'", server, { cacert = h.file 'ca.pem', verify = 'chain' })
  h.throws("option 'purpose' of a client needs verify = 'chain'", client, { cacert = h.file 'ca.pem', purpose = 'any' })
  h.throws("option 'purpose' needs 'cacert'", server, { purpose = 'any' })
  h.throws("it must be any", server, { cacert = h.file 'ca.pem', purpose = 'web' })
  h.throws("option 'depth' needs 'cacert'", client, { depth = 1 })
  h.throws("it must be 0 to 100", client, { cacert = h.file 'ca.pem', depth = -1 })
end

tests['verifychain'] = function()
  local ca, chain = h.content 'ca.pem', h.content 'chain.pem'
  h.results(true)(ssl.verifychain(chain, ca))
  h.results(true)(ssl.verifychain(h.content 'client.pem', ca))
  h.results(true)(ssl.verifychain(h.content 'other.pem', h.content 'many.pem'))
  h.fails(ssl.verifychain(h.content 'other.pem', ca))
  h.fails(ssl.verifychain('text', ca))
  h.fails(ssl.verifychain(chain, ''))
  h.fails(ssl.verifychain(h.content 'manybad.pem', ca))
  h.throws('string expected', ssl.verifychain, chain)
end

h.run(tests)
