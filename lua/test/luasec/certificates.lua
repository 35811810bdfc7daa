-- Certificates and verification of the module `ssl`.
local h, t = require 'harness', require 'sockets'
local ssl = require 'ssl'

local tests = {}

local function load(name) return assert(ssl.loadcertificate(h.content(name))) end

tests['what a certificate says'] = function()
  local c = load 'sans.pem'
  h.same(c:subject()[1].name, 'commonName')
  h.same(c:subject()[1].oid, '2.5.4.3')
  h.same(c:subject()[1].value, 'many.example')
  h.same(c:issuer()[1].value, 'Test CA')
  assert(c:serial():find '^[0-9A-F]+$' and #c:serial() % 2 == 0)
  assert(c:notbefore():find '^%u%l%l [ %d]%d %d%d:%d%d:%d%d %d%d%d%d GMT$', c:notbefore())
  assert(c:notafter():find '^%u%l%l [ %d]%d %d%d:%d%d:%d%d %d%d%d%d GMT$')
  h.same(c:validat(os.time()), true)
  h.same(c:validat(os.time() - 1000000), false)
  h.same(c:validat(os.time() + 1000000), false)
  for kind, size in pairs { sha1 = 40, sha256 = 64, sha512 = 128 } do
    assert(#c:digest(kind) == size and c:digest(kind):find '^[0-9a-f]+$')
  end
  h.same(c:digest(), c:digest 'sha1')
  h.results(nil, 'digest algorithm not supported (md4)')(c:digest 'md4')
  local key, kind, bits = c:pubkey()
  assert(key:find '^%-%-%-%-%-BEGIN PUBLIC KEY')
  h.same(kind, 'EC')
  h.same(bits, 256)
  h.same(c:getsignaturename(), 'ecdsa-with-SHA256')
  h.same(c:setencode 'utf8', true)
  h.same(c:setencode 'nonsense', false)
  assert(tostring(c):find '^X509 certificate: ')
  h.same(ssl.loadcertificate(c:pem()):digest(), c:digest())
  h.same((select(2, load 'rsa.crt':pubkey())), 'RSA')
end

tests['alternative names, of every kind'] = function()
  local names = load 'sans.pem':extensions()['2.5.29.17']
  h.same(names.name, 'X509v3 Subject Alternative Name')
  h.same(table.concat(names.dNSName, ' '), 'many.example *.many.example')
  h.same(names.rfc822Name[1], 'me@many.example')
  h.same(names.uniformResourceIdentifier[1], 'https://many.example/')
  h.same(names.iPAddress[1], '192.0.2.1')
  h.same(names.iPAddress[2], '2001:db8::1')
  h.same(names['1.3.6.1.5.5.7.8.5'][1], 'me@xmpp.example')
  h.same(names['1.3.6.1.5.5.7.8.7'][1], '_xmpp-server.many.example')
  h.same(next(load 'ca.pem':extensions()), nil)
end

tests['what is no certificate'] = function()
  h.same(ssl.loadcertificate 'text', nil)
  h.same(ssl.loadcertificate '', nil)
  h.same(ssl.loadcertificate(h.content 'truncated.pem'), nil)
  h.same(ssl.loadcertificate(h.content 'damaged.pem'), nil)
  h.throws('string expected', ssl.loadcertificate, nil)
end

tests['issued'] = function()
  local ca, leaf, other = load 'ca.pem', load 'server.crt', load 'other.pem'
  h.results(true)(ca:issued(leaf))
  local ok, err = ca:issued(other)
  h.same(ok, nil)
  h.same(err, 'unable to get local issuer certificate')
  local chain = h.content 'chain.pem'
  local middle = ssl.loadcertificate(chain:match '%-%-%-%-%-END CERTIFICATE%-%-%-%-%-(.*)')
  h.results(true)(ca:issued(ssl.loadcertificate(chain), middle))
  h.same((ca:issued(ssl.loadcertificate(chain))), nil)
end

tests['the peer\'s chain'] = function()
  local c, s = t.established(nil, t.server { certificate = h.file 'chain.pem' })
  local chain = c:getpeerchain()
  h.same(#chain, 2)
  h.same(chain[1]:digest(), c:getpeercertificate():digest())
  h.same(chain[2]:digest(), c:getpeercertificate(2):digest())
  h.same(c:getpeercertificate(3), nil)
  h.results(nil, 'invalid certificate index')(c:getpeercertificate(0))
  h.same(s:getpeercertificate(), nil)
end

tests['a server that verifies'] = function()
  local c, s = t.established(t.client { verify = 'peer', cafile = h.file 'ca.pem' })
  h.results(true)(c:getpeerverification())
  h.results(true)(s:getpeerverification())
end

tests['no name is compared, unless checkname says so'] = function()
  local c, s = t.pair(t.client { verify = 'peer', cafile = h.file 'ca.pem' })
  c:sni 'other.example'
  h.same(t.shake(c, s), nil)
  if t.original then return end
  c, s = t.pair(t.client { verify = 'peer', cafile = h.file 'ca.pem', checkname = true })
  c:sni 'other.example'
  h.same(t.shake(c, s), 'certificate verify failed')
  c, s = t.pair(t.client { verify = 'peer', cafile = h.file 'ca.pem', checkname = true })
  c:sni 'localhost'
  h.same(t.shake(c, s), nil)
end

tests['a server that does not verify'] = function()
  for certificate, alert in pairs { ['other.pem'] = 'tlsv1 alert unknown ca', ['self.pem'] = 'tlsv1 alert unknown ca',
    ['expired.pem'] = 'sslv3 alert certificate expired' } do
    local c, s = t.pair(t.client { verify = 'peer', cafile = h.file 'ca.pem' }, t.server { certificate = h.file(certificate) })
    local cerr, serr = t.shake(c, s)
    h.same(cerr, 'certificate verify failed', certificate)
    h.same(serr, alert, certificate)
  end
end

tests['the failure has its details'] = function()
  if t.original then h.skip 'LuaSec has none' end
  local c, s = t.pair(t.client { verify = 'peer', cafile = h.file 'ca.pem' }, t.server { certificate = h.file 'other.pem' })
  local ok, err, details
  repeat
    s:dohandshake()
    ok, err, details = c:dohandshake()
  until err ~= 'wantread'
  h.same(ok, false)
  h.same(err, 'certificate verify failed')
  assert(details:find 'unknown authority', details)
end

tests['verification afterwards'] = function()
  for certificate, reason in pairs { ['other.pem'] = 'unable to get local issuer certificate', ['expired.pem'] = 'certificate has expired',
    ['self.pem'] = 'self-signed certificate', ['server.crt'] = false } do
    local c = t.established(t.client { cafile = h.file 'ca.pem' }, t.server { certificate = h.file(certificate) })
    if reason and not t.original then
      h.results(false, reason)(c:getpeerverification())
    else
      h.same((c:getpeerverification()), not reason)
    end
  end
  local c = t.established()
  h.same((c:getpeerverification()), false)
end

tests['lsec_continue'] = function()
  local more = { verify = { 'peer', 'fail_if_no_peer_cert' }, verifyext = { 'lsec_continue', 'lsec_ignore_purpose' }, cafile = h.file 'ca.pem' }
  local c, s = t.established(t.client { verify = more.verify, verifyext = more.verifyext, cafile = more.cafile, key = h.file 'key.pem',
    certificate = h.file 'other.pem' }, t.server(more))
  h.results(true)(c:getpeerverification())
  local ok, errors = s:getpeerverification()
  h.same(ok, false)
  h.same(type(errors), 'table')
  local count = 0
  for _, list in pairs(errors) do
    for _, text in ipairs(list) do
      h.same(type(text), 'string')
      count = count + 1
    end
  end
  assert(count > 0)
  c, s = t.pair(nil, t.server(more))
  local _, serr = t.shake(c, s)
  assert(serr, 'a client without a certificate')
end

tests['clients\' certificates'] = function()
  local server = { verify = { 'peer', 'fail_if_no_peer_cert' }, cafile = h.file 'ca.pem' }
  local _, s = t.established(t.client { key = h.file 'key.pem', certificate = h.file 'client.pem' }, t.server(server))
  h.same(s:getpeercertificate():subject()[1].value, 'client')
  h.results(true)(s:getpeerverification())
  local c
  c, s = t.pair(nil, t.server(server))
  local _, serr = t.shake(c, s)
  assert(serr)
  server.verify = 'peer'
  t.established(nil, t.server(server))
end

tests['a server\'s certificate is none of a client, unless the purpose is ignored'] = function()
  local client = t.client { key = h.file 'key.pem', certificate = h.file 'server.crt' }
  local server = { verify = { 'peer', 'fail_if_no_peer_cert' }, cafile = h.file 'ca.pem' }
  local c, s = t.pair(client, t.server(server))
  local _, serr = t.shake(c, s)
  h.same(serr, 'certificate verify failed')
  server.verifyext = 'lsec_ignore_purpose'
  t.established(client, t.server(server))
end

tests['depth'] = function()
  local server = t.server { certificate = h.file 'chain.pem' }
  t.established(t.client { verify = 'peer', cafile = h.file 'ca.pem', depth = 1 }, server)
  local c, s = t.pair(t.client { verify = 'peer', cafile = h.file 'ca.pem', depth = 0 }, server)
  h.same(t.shake(c, s), 'certificate verify failed')
end

tests['revocation'] = function()
  t.established(t.client { verify = 'peer', cafile = h.file 'withcrl.pem', verifyext = 'crl_check' })
  local c, s = t.pair(t.client { verify = 'peer', cafile = h.file 'withrevoked.pem', verifyext = 'crl_check' })
  local cerr, serr = t.shake(c, s)
  h.same(cerr, 'certificate verify failed')
  h.same(serr, 'sslv3 alert certificate revoked')
end

h.run(tests)
