-- What newconfig's table takes beyond files: keys, lists, revocation, functions, sessions.
local h, t = require 'harness', require 'transport'
local ssl = require 'mbedtls.ssl'

local tests = {}

local function client(options)
  options.mode = 'tls-client'
  return ssl.newconfig(options)
end

local function server(options)
  options.mode = 'tls-server'
  return ssl.newconfig(options)
end

local trusting = { cacert = h.file('ca.pem'), hostname = 'localhost' }
local function trusting_client() return client { cacert = trusting.cacert, hostname = trusting.hostname } end

tests['a key beside its certificate, as a file and as PEM'] = function()
  for _, key in ipairs { h.file('key.pem'), h.content('key.pem') } do
    for _, cert in ipairs { h.file('server.crt'), h.content('server.crt'), h.file('server.pem') } do
      t.established(trusting_client(), server { cert = cert, key = key })
    end
  end
end

tests['encrypted keys'] = function()
  for _, key in ipairs { 'encrypted.key', 'old.key' } do
    t.established(trusting_client(), server { cert = h.file('server.crt'), key = h.file(key), password = 'correct horse' })
    t.established(trusting_client(), server { cert = h.content('server.crt') .. h.content(key), password = 'correct horse' })
    local function throws(text, password)
      h.throws(h.file(key) .. ": can't parse private key: " .. text, server,
        { cert = h.file('server.crt'), key = h.file(key), password = password })
    end
    throws("it is encrypted: option 'password' is missing")
    throws("it is encrypted: option 'password' is missing", '')
    throws('the password is wrong, or the key is damaged', 'wrong')
    local _, err = pcall(server, { cert = h.file('server.crt'), key = h.content(key), password = 'wrong password' })
    assert(not err:find('wrong password', 1, true), err)
  end
end

tests['keys that do not fit'] = function()
  local function throws(text, options) h.throws(text, server, options) end
  throws('certificate/private key mismatch', { cert = h.file('server.crt'), key = h.file('rsa.key') })
  throws(h.file('nowhere') .. ": can't parse private key: no such file", { cert = h.file('server.crt'), key = h.file('nowhere') })
  throws(h.file('text') .. ": can't parse private key", { cert = h.file('server.crt'), key = h.file('text') })
  throws("can't parse private key: its name is empty", { cert = h.file('server.crt'), key = '' })
  throws("options 'key' and 'password' need 'cert'", { key = h.file('key.pem') })
  throws("options 'key' and 'password' need 'cert'", { password = 'x' })
  throws("option 'key' must be a string, not a table", { cert = h.file('server.crt'), key = {} })
end

tests['many certificates: by name, wildcards too, and by the kind of key'] = function()
  local many = server { certs = {
    { cert = h.file('wild.pem') },
    { cert = h.file('server.crt'), key = h.file('encrypted.key'), password = 'correct horse' },
    { cert = h.content('rsa.crt'), key = h.content('rsa.key') },
  } }
  local function shown(options)
    options.cacert = h.file('ca.pem')
    local c = t.established(client(options), many)
    return c:peerchain()[1]
  end
  h.same(shown { hostname = 'www.example.com' }.dnsnames[1], '*.example.com')
  h.same(shown { hostname = 'localhost' }.keytype, 'EC')
  h.same(shown { hostname = 'localhost', signatures = 'PSSWithSHA256' }.keytype, 'RSA')
  -- the one that is not in the list goes first
  local c = t.established(client {}, server { cert = h.file('server.pem'), certs = { { cert = h.file('wild.pem') } } })
  h.same(c:info().peer.subject, 'CN=localhost')
end

tests['many certificates: what is thrown'] = function()
  for text, options in pairs {
    ["option 'certs' must be a table, not a string"] = { certs = 'x' },
    ["option 'certs' must be a table"] = { certs = { 'x' } },
    ["unknown option 'certs.color'"] = { certs = { { color = 'red' } } },
    ["option 'certs.cert' must be a string, not a nested table"] = { certs = { { cert = {} } } },
    ["invalid option 'x' for 'certs.cert'"] = { certs = { cert = 'x' } },
    [h.file('nowhere') .. ": can't parse certificate"] = { certs = { { cert = h.file('nowhere') } } },
    ["can't parse certificate: its name is empty"] = { certs = { {} } },
  } do
    h.throws(text, server, options)
  end
end

tests['a folder of authorities'] = function()
  t.established(client { capath = h.file('ca.d'), hostname = 'localhost' }, server { cert = h.file('server.pem') })
  t.established(client { capath = h.file('empty.d'), cacert = h.file('ca.pem') }, server { cert = h.file('server.pem') })
  local err = t.shake(t.pair(client { capath = h.file('ca.d') }, server { cert = h.file('self.pem') }))
  assert(err and err:find('^client: '), err)
  h.throws(h.file('bad.d') .. "/bad.crt: can't parse CA certificate", client, { capath = h.file('bad.d') })
  h.throws(h.file('empty.d') .. ": can't parse CA certificate: it has no file", client, { capath = h.file('empty.d') })
  h.throws(h.file('nowhere') .. ": can't parse CA certificate: no such file", client, { capath = h.file('nowhere') })
  h.throws("invalid option '' for 'capath'", client, { capath = '' })
end

tests['revocation'] = function()
  local function shake(...)
    return t.shake(t.pair(client { cacert = h.file('ca.pem'), hostname = 'localhost', crl = ... }, server { cert = h.file('server.pem') }))
  end
  h.same(shake(h.file('crl.pem')), nil)
  h.same(shake { h.content('crl.pem'), h.file('othercrl.pem') }, nil)
  for list, why in pairs { ['revoked.pem'] = 'is revoked', ['oldcrl.pem'] = 'has expired', ['othercrl.pem'] = 'no CRL of' } do
    local err = shake(h.file(list))
    assert(err and err:find('^client: ') and err:find(why, 1, true), list .. ': ' .. tostring(err))
  end
  -- a server revokes its clients' certificates
  local demanding = { cacert = h.file('ca.pem'), cert = h.file('server.pem'), crl = h.file('crl.pem') }
  t.established(client { cert = h.file('client.pem') }, server(demanding))
  h.throws(h.file('text') .. ": can't parse CRL", client, { cacert = h.file('ca.pem'), crl = h.file('text') })
  h.throws(h.file('ca.pem') .. ": can't parse CRL: no X509 CRL block", client, { cacert = h.file('ca.pem'), crl = h.file('ca.pem') })
  h.throws("option 'crl' needs 'cacert' or 'capath'", client, { crl = h.file('crl.pem') })
end

-- Repeats an operation that waits for an answer.
local function shake_slowly(c, s)
  local answers = 0
  for _ = 1, 200 do
    local a, aerr = c:handshake()
    local b, berr = s:handshake()
    for i, err in ipairs { not a and aerr, not b and berr } do
      local side = i == 1 and 'client' or 'server'
      if err == 'want-answer' then answers = answers + 1
      elseif err and not t.waits(err) then return side .. ': ' .. tostring(err), answers end
    end
    if a and b then return nil, answers end
  end
  return 'it never ends', answers
end

tests['verify as a function: yes, no, and later'] = function()
  local calls, seen
  local function verdict(results)
    calls = 0
    return function(...)
      calls = calls + 1
      seen = ...
      h.same(select('#', ...), 1)
      local r = results[math.min(calls, #results)]
      if r == 'later' then return nil end
      return r, 'it looks odd'
    end
  end
  local err, waited = shake_slowly(t.pair(client { verify = verdict { 'later', 'later', true } }, server { cert = h.file('server.pem') }))
  h.same(err, nil)
  h.same(waited, 2)
  h.same(calls, 3)
  h.same(seen.peer.subject, 'CN=localhost')
  h.same(seen.mode, 'tls-client')
  err = shake_slowly(t.pair(client { verify = verdict { 'later', false } }, server { cert = h.file('server.pem') }))
  assert(err and err:find('^client: ') and err:find('it looks odd', 1, true), err)
  -- it is asked after the ordinary verification
  err = shake_slowly(t.pair(client { verify = verdict { true }, cacert = h.file('ca.pem') }, server { cert = h.file('other.pem') }))
  assert(err and err:find('^client: '), err)
  h.same(calls, 0)
  -- a server sees whatever certificate a client shows, or none
  for _, cert in ipairs { 'other.pem', 'none' } do
    err = shake_slowly(t.pair(client { cert = cert ~= 'none' and h.file(cert) or nil }, server { verify = verdict { true } }))
    h.same(err, nil)
    h.same(seen.peer and seen.peer.subject, cert ~= 'none' and 'CN=localhost' or nil)
  end
end

tests['functions that answer nonsense, raise errors and call back'] = function()
  local bads = { 'x', 5, {}, print, ssl.newconfig('tls-client') }
  for _, bad in ipairs(bads) do
    local good = false
    local c, s = t.pair(client { verify = function() return good or bad end }, server { cert = h.file('server.pem') })
    local err = shake_slowly(c, s)
    h.same(err, 'client: invalid verify result')
    good = true
    h.same(shake_slowly(c, s), nil) -- it is repeated
  end
  local sorry, c, s = {}, nil, nil
  c, s = t.pair(client { verify = function() error(sorry, 0) end }, server {})
  c:handshake()
  s:handshake()
  h.results(nil, sorry)(c:handshake())
  h.results(nil, sorry)(c:read(1))
  c, s = t.pair(client { verify = function() return c:handshake() end }, server {})
  c:handshake()
  s:handshake()
  local _, err = c:handshake()
  assert(tostring(err):find('context is busy'), err)
end

tests['a function that yields'] = function()
  if not h.yields then h.skip('callbacks cannot yield here') end
  local c, s = t.pair(client { verify = function() return coroutine.yield('verifying') end }, server {})
  c:handshake()
  s:handshake()
  local co = coroutine.create(function() return c:handshake() end)
  local _, what = coroutine.resume(co)
  h.same(what, 'verifying')
  h.throws('context is busy', c.handshake, c)
  h.results(true, true)(coroutine.resume(co, true))
  h.same(t.shake(c, s), nil)
end

tests['alpn as a function'] = function()
  local asked
  local function choose(results)
    local n = 0
    return function(hello)
      asked = table.concat(hello.alpn, ' ')
      n = n + 1
      local r = results[math.min(n, #results)]
      if r == 'later' then return nil end
      return r
    end
  end
  for _, version in ipairs { '1.2', '1.3' } do
    local c, s = t.pair(client { alpn = { 'h2', 'http/1.1' }, versions = version }, server { alpn = choose { 'later', 'http/1.1' } })
    local err, waited = shake_slowly(c, s)
    h.same(err, nil)
    h.same(waited, 1)
    h.same(asked, 'h2 http/1.1')
    h.same(c:info().alpn, 'http/1.1')
    h.same(s:info().alpn, 'http/1.1')
  end
  local c, s = t.pair(client { alpn = 'h2' }, server { alpn = choose { false } })
  h.same(shake_slowly(c, s), nil)
  h.same(c:info().alpn, nil)
  asked = nil
  h.same(shake_slowly(t.pair(client {}, server { alpn = choose { 'h2' } })), nil)
  h.same(asked, nil) -- where a client offers none it is not asked
  for _, bad in ipairs { 'h3', true, 5, {} } do
    h.same(shake_slowly(t.pair(client { alpn = 'h2' }, server { alpn = function() return bad end })), 'server: invalid alpn result')
  end
end

tests['servername as a function'] = function()
  local wild = server { cert = h.file('wild.pem'), alpn = function(hello) return hello.alpn[2] end }
  local ready = false
  local function choose(hello)
    if not ready then return nil end
    if hello.hostname == 'www.example.com' then return wild end
    if hello.hostname == 'nobody.example' then return false, 'nobody is here' end
    return true
  end
  local own = server { cert = h.file('server.pem'), servername = choose }
  for name, want in pairs { ['www.example.com'] = 'CN=*.example.com', localhost = 'CN=localhost' } do
    ready = false
    local c, s = t.pair(client { hostname = name, cacert = h.file('ca.pem'), alpn = { 'a', 'b' } }, own)
    c:handshake()
    h.results(nil, 'want-answer')(s:handshake())
    h.same(s:want(), 'answer')
    h.results(nil, 'want-answer')(s:read(1))
    ready = true
    h.same(shake_slowly(c, s), nil)
    h.same(c:info().peer.subject, want)
    h.same(c:info().alpn, want == 'CN=*.example.com' and 'b' or nil)
    h.same(s:info().hostname, name)
    h.same(s:want(), 'nothing')
  end
  local err = shake_slowly(t.pair(client { hostname = 'nobody.example' }, own))
  assert(err and err:find('nobody is here', 1, true), err)
  err = shake_slowly(t.pair(client { hostname = 'x' }, server { servername = function() return 'x' end }))
  h.same(err, 'server: invalid servername result')
  err = shake_slowly(t.pair(client { hostname = 'x' }, server { servername = function() return ssl.newconfig('dtls-server') end }))
  h.same(err, 'server: invalid servername result')
end

tests['functions: what is thrown'] = function()
  h.throws("option 'servername' is for servers", client, { servername = print })
  h.throws("option 'servername' must be a function, not a string", server, { servername = 'x' })
  h.throws("option 'alpn' must be a string or table, not a function", client, { alpn = print })
  h.throws("option 'groups' must be a string or table, not a function", client, { groups = print })
end

tests['errors say what an option allows'] = function()
  for text, options in pairs {
    ["invalid option '1.1' for 'versions': it must be 1.2 or 1.3"] = { versions = '1.1' },
    ["for 'groups': it must be X25519MLKEM768,"] = { groups = 'x' },
    ["for 'signatures': it must be ECDSAWithP256AndSHA256,"] = { signatures = 'x' },
    ["for 'verify': it must be required, chain, optional, request, require-any, none,"] = { verify = 'maybe' },
    ["invalid option 'strict' for 'policy': it must be fips, wpa3, cnsa1 or cnsa2"] = { policy = 'strict' },
    ["option 'policy' must be a string, not a table"] = { policy = { 'fips' } },
    ["for 'ocsp': it must be stapled, must-staple or require"] = { ocsp = 'x' },
    ["for 'recordsize': it must be 512 to 16384"] = { recordsize = 100 },
    ["for 'sessions': it must be 0 to 1048575, or true"] = { sessions = -1 },
  } do
    h.throws(text, client, options)
  end
  h.throws("for 'ticketcount': it must be 1 to 16", server, { ticketcount = 17 })
  h.throws("for 'ticketlifetime': it must be 1 to 604800 seconds", server, { ticketlifetime = 0 })
  local _, err = pcall(server, { ticketkeys = 'a secret that is too short' })
  assert(err:find("invalid option for 'ticketkeys': it must be 32 bytes each", 1, true) and not err:find('too short', 1, true), err)
end

local pem = h.file('server.pem')

tests['a policy: what it permits, what it forbids, and what contradicts it'] = function()
  local c = t.established(client { policy = 'fips', cacert = trusting.cacert, hostname = trusting.hostname }, server { cert = pem })
  h.same(c:info().group, 'SecP256r1MLKEM768')
  h.same(c:info().suite, 'TLS_AES_128_GCM_SHA256')
  local err = t.shake(t.pair(client { policy = 'fips' }, server { cert = pem, groups = 'X25519' }))
  assert(err:find('FIPS 140-3', 1, true) or err:find('handshake_failure', 1, true), err)
  err = t.shake(t.pair(client { groups = 'X25519' }, server { cert = pem, policy = 'fips' }))
  assert(err:find('no group in common under the policy FIPS 140-3', 1, true), err)
  -- a key with P-256 is not CNSA's, neither the peer's nor one of our own
  err = t.shake(t.pair(client { policy = 'cnsa1', cacert = trusting.cacert, hostname = trusting.hostname }, server { cert = pem }))
  assert(err, 'a key that the policy forbids was accepted')
  h.throws("option 'cert'", server, { policy = 'cnsa1', cert = pem })
  h.throws("option 'groups': X25519 is forbidden by policy (CNSA 2.0)", client, { policy = 'cnsa2', groups = 'X25519' })
  h.throws("option 'versions': TLS 1.2 is forbidden by policy (CNSA 2.0)", client, { policy = 'cnsa2', versions = '1.2' })
end

tests['MLKEM1024, if it is named'] = function()
  local c = t.established(client { groups = 'mlkem1024' }, server { cert = pem, groups = { 'X25519', 'MLKEM1024' } })
  h.same(c:info().group, 'MLKEM1024')
end

tests['ocsp: a server without a response'] = function()
  local function checked(ocsp) return client { ocsp = ocsp, cacert = trusting.cacert, hostname = trusting.hostname } end
  t.established(checked 'stapled', server { cert = pem })
  t.established(checked 'must-staple', server { cert = pem })
  local err = t.shake(t.pair(checked 'require', server { cert = pem }))
  assert(err:find('OCSP', 1, true), err)
  h.throws("option 'ocsp' needs a server that is verified, with its name: 'cacert', or verify = true", client, { ocsp = 'require' })
  h.throws("option 'ocsp' needs a server that is verified", client, { ocsp = 'require', cacert = trusting.cacert, verify = 'chain' })
  h.throws("option 'ocsp' is for clients", server, { ocsp = 'require' })
end

tests['records of a size'] = function()
  local c, s, up = t.established(client { recordsize = 600 })
  local sent = #up.sent
  h.results(600)(c:write(('x'):rep(5000)))
  assert(#up.sent[sent + 1] < 700)
  h.same(#s:read(5000), 600)
end

tests['limits of records, and compressed certificates'] = function()
  local c, s, up, down = t.established(client { recordlimit = 600, compression = 'zlib' }, server { compression = { 'zlib' } })
  h.results(true)(c:handshake())
  local n = s:write(('x'):rep(5000))
  assert(n < 601, n)
  h.same(#c:read(5000), n)
  c, s = t.established(client { maxfragment = 1024 }, server {})
  n = s:write(('x'):rep(5000))
  assert(n <= 1024, n)
  h.same(#c:read(5000), n)
  local function size(compression) -- of what a server sends, with a long chain
    local _, _, _, from_server = t.established(client { compression = compression }, server { cert = h.file('chain.pem'), compression = compression })
    return #table.concat(from_server.sent)
  end
  assert(size('zlib') < size(nil))
  h.throws("for 'recordlimit': it must be 64 to 16385", client, { recordlimit = 63 })
  h.throws("for 'maxfragment': it must be 512, 1024, 2048 or 4096", client, { maxfragment = 600 })
  h.throws("option 'maxfragment' is for clients", server, { maxfragment = 512 })
  h.throws("invalid option 'brotli' for 'compression': it must be zlib; brotli and zstd need a build with certcompress", client, { compression = 'brotli' })
end

tests['readahead: one callback brings many records'] = function()
  local c, s, up, down = t.established(nil, server { readahead = true })
  local asked = 0
  s:setbio(function(size)
    asked = asked + 1
    h.same(size, 65536)
    return up.rcb(size)
  end, down.wcb)
  local sent, got = '', ''
  for i = 1, 10 do
    c:write('record ' .. i)
    sent = sent .. 'record ' .. i
  end
  repeat
    local piece = assert(s:read(50)) -- small records come together
    assert(#piece <= 50)
    got = got .. piece
  until #got >= #sent
  h.same(got, sent)
  h.same(asked, 1)
  h.same(s:pending(), 0)
  h.results(nil, 'want-read')(s:read(100))
  -- pieces of any size, and records that do not fit
  up.piece = 7000
  local data = ('0123456789'):rep(10000)
  h.same(t.send(c, s, data), data)
  h.throws("option 'readahead' is for TLS", ssl.newconfig, { mode = 'dtls-client', readahead = true })
end

tests['pending: what can be read without the transport'] = function()
  local c, s = t.established()
  h.same(s:pending(), 0)
  c:write('abcdef')
  h.same(s:pending(), 0)
  s:read(2)
  h.same(s:pending(), 4)
  h.results('')(s:read(0))
  s:read(10)
  h.same(s:pending(), 0)
end

tests['sessions as strings'] = function()
  for _, version in ipairs { '1.2', '1.3' } do
    local srv = server { cert = h.file('server.pem') }
    local function connect(session, options)
      options = options or { sessions = true, hostname = 'localhost', versions = version }
      local c, s = t.pair(client(options), srv)
      if session then h.results()(c:setsession(session)) end
      h.same(t.shake(c, s), nil)
      h.same(t.send(s, c, 'the ticket comes with this'), 'the ticket comes with this')
      return c:getsession(), c:info().resumed
    end
    local session, resumed = connect()
    h.same(type(session), 'string')
    h.same(resumed, false)
    session, resumed = connect(session)
    h.same(resumed, true)
    h.same(type(session), 'string')
    -- of another server it is not offered
    h.same(select(2, connect(session, { sessions = true, hostname = 'example.com', versions = version })), false)
    h.same(connect(nil, { hostname = 'localhost' }), nil)
    local c = ssl.newcontext(client { sessions = true }, print, print)
    h.same(c:getsession(), nil)
    for _, bad in ipairs { '', 'x', session:sub(1, -2), ('\255'):rep(100), session .. 'x' } do
      h.throws("bad argument #1 to 'setsession' (this is no session", function() return (c:setsession(bad)) end)
    end
    h.throws("the configuration has no option 'sessions'", c.setsession,
      ssl.newcontext(client {}, print, print), session)
    h.throws('operation not supported', c.setsession, ssl.newcontext(srv, print, print), session)
  end
end

tests['ticket keys, lifetime and number'] = function()
  local key, c = ('k'):rep(32), nil
  local options = { sessions = 1 }
  local cfg = client(options)
  for i = 1, 3 do -- another server, or process, with the same keys
    local s
    c, s = t.established(cfg, server { ticketkeys = { ('n'):rep(32), key }, ticketlifetime = 60, ticketcount = 2 })
    t.send(s, c, 'the ticket comes with this')
    h.same(c:info().resumed, i > 1)
  end
end

tests['the chain of the peer'] = function()
  local c, s = t.pair(client { cacert = h.file('ca.pem') }, server { cert = h.file('chain.pem') })
  h.same(c:peerchain(), nil)
  h.same(t.shake(c, s), nil)
  local chain = c:peerchain()
  h.same(#chain, 2)
  local leaf = chain[1]
  h.same(leaf.subject, 'CN=localhost')
  h.same(leaf.issuer, 'CN=Test Intermediate')
  h.same(leaf.subjectnames[1].name .. '=' .. leaf.subjectnames[1].value, 'commonName=localhost')
  h.same(leaf.subjectnames[1].oid, '2.5.4.3')
  h.same(leaf.dnsnames[1], 'localhost')
  h.same(leaf.ca, false)
  h.same(chain[2].ca, true)
  h.same(leaf.keytype, 'EC')
  h.same(leaf.keybits, 256)
  h.same(leaf.version, 3)
  h.same(#leaf.sha1 + #leaf.sha256 + #leaf.sha512, 40 + 64 + 128)
  h.same(leaf.sha256, c:info().peer.sha256)
  assert(leaf.pem:find('^%-%-%-%-%-BEGIN CERTIFICATE') and leaf.pubkey:find('BEGIN PUBLIC KEY'))
  assert(leaf.notbeforetime < os.time() and os.time() < leaf.notaftertime)
  assert(#leaf.extensions > 1 and leaf.extensions[1].oid:find('^2%.5%.29%.'))
  h.same(s:peerchain(), nil)
  -- the same of a text
  local cert = ssl.certificate(leaf.pem)
  for _, key in ipairs { 'subject', 'serial', 'sha512', 'pem', 'notafter' } do h.same(cert[key], leaf[key], key) end
  h.throws('bad argument #1', ssl.certificate, 'x')
  h.throws('bad argument #1', ssl.certificate, h.content('key.pem'))
  h.throws('string expected', ssl.certificate, {})
end

tests['verifypeer: afterwards, where the handshake accepts anybody'] = function()
  local function verify(cert, name, options)
    options = options or { cacert = h.file('ca.pem'), verify = 'none' }
    local c = t.established(client(options), server { cert = h.file(cert) })
    return c:verifypeer(name)
  end
  h.results(true)(verify('server.pem'))
  h.results(true)(verify('server.pem', 'localhost'))
  for _, bad in ipairs { { 'server.pem', 'example.com' }, { 'other.pem' }, { 'expired.pem' }, { 'self.pem' }, { 'client.pem' } } do
    local ok, err = verify(bad[1], bad[2])
    h.same(ok, nil, bad[1])
    assert(err:find('x509'), err)
  end
  local ok, err = verify('server.pem', nil, { cacert = h.file('ca.pem'), verify = 'none', crl = h.file('revoked.pem') })
  h.same(ok, nil)
  assert(err:find('revoked'), err)
  local _, s = t.established()
  h.results(nil, 'the peer has shown no certificate')(s:verifypeer())
end

tests['SRTP and cookie secrets are for DTLS'] = function()
  ssl.newconfig { mode = 'dtls-server', srtp = 'SRTP_AEAD_AES_128_GCM', cookiesecret = ('s'):rep(16) }
  h.throws("option 'cookiesecret' is for DTLS servers", ssl.newconfig, { mode = 'dtls-client', cookiesecret = ('s'):rep(16) })
  h.throws("invalid option for 'cookiesecret': it must be 16 bytes or more", ssl.newconfig, { mode = 'dtls-server', cookiesecret = 'x' })
  h.throws("for 'srtp': it must be SRTP_AES128_CM_HMAC_SHA1_80,", ssl.newconfig, { mode = 'dtls-client', srtp = 'x' })
  h.throws("option 'srtp' is for DTLS", client, { srtp = 'SRTP_AEAD_AES_128_GCM' })
end

h.run(tests)
