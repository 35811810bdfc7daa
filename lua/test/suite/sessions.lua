-- TLS sessions: handshake, data, the end, and what goes wrong.
local h, t = require 'harness', require 'transport'
local ssl = require 'mbedtls.ssl'

local tests = {}

tests['handshake returns true alone, and once done calls nothing'] = function()
  local c, s, up, down = t.established()
  h.results(true)(c:handshake())
  c:setbio(error, error)
  s:setbio(error, error)
  h.results(true)(c:handshake())
  h.results(true)(s:handshake())
  c:setbio(down.rcb, up.wcb)
  s:setbio(up.rcb, down.wcb)
  c:close()
  h.results(nil, 'closed')(s:read(1))
  h.results(true)(s:handshake())
end

tests['read and write perform a pending handshake'] = function()
  for _, size in ipairs { 0, 1 } do
    local c, s = t.pair()
    for _ = 1, 10 do
      c:read(size)
      s:write(('x'):rep(size))
    end
    h.results(true)(c:handshake())
    h.results(true)(s:handshake())
  end
end

tests['an operation that performs the handshake wants to write, and offers again, what was not taken'] = function()
  for name, argument in pairs { handshake = 0, read = 0, write = 'x' } do
    local c, s, up, down = t.pair()
    local refused
    local function lazy(stream) -- takes something at every third call
      local calls = 0
      return function(data)
        calls = calls + 1
        refused = calls % 3 > 0
        return refused and 0 or stream.wcb(data)
      end
    end
    c:setbio(down.rcb, lazy(up))
    s:setbio(up.rcb, lazy(down))
    for _ = 1, 50 do
      for _, ctx in ipairs { c, s } do
        refused = false
        local _, err = ctx[name](ctx, argument)
        h.same(err == 'want-write', refused, name)
      end
    end
    h.same(c:info().complete and s:info().complete, true, name)
  end
end

tests['any transport will do'] = function()
  for _, piece in ipairs { 1, 2, 5, 100, 1e9 } do
    local c, s, up, down = t.pair()
    up.piece, down.piece = piece, piece
    h.same(t.shake(c, s), nil)
    local data = ('0123456789'):rep(piece < 10 and 200 or 5000)
    h.same(t.send(c, s, data), data)
    h.same(t.send(s, c, data), data)
  end
end

tests['want-write, at every byte'] = function()
  local c, s, up, down = t.pair()
  local open = false
  local function gate(stream)
    return function(data)
      open = not open
      if not open then return 0 end
      return stream.wcb(data:sub(1, 1))
    end
  end
  c:setbio(down.rcb, gate(up))
  s:setbio(up.rcb, gate(down))
  h.same(t.shake(c, s), nil)
  local got, result, err = {}
  repeat
    result, err = c:write('one record')
    if not result then h.same(err, 'want-write') end
  until result
  h.same(result, 10)
  h.results('one record')(s:read(100))
  repeat result, err = c:close() until err ~= 'want-write'
  h.same(result, true)
  h.results(nil, 'closed')(s:read(100))
end

tests['after want-write the record is already made'] = function()
  local c, s, up = t.established()
  up.piece = 0
  h.results(nil, 'want-write')(c:write('first'))
  h.results(nil, 'want-write')(c:write('first'))
  up.piece = 4
  h.results(5)(c:write('first'))
  up.piece = 1e9
  h.results(6)(c:write('second'))
  h.same(s:read(5) .. ' ' .. s:read(6), 'first second')
end

tests['other data after want-write are not looked at: what was sent counts'] = function()
  local c, s, up = t.established()
  for _, other in ipairs { 'a longer text', 'x', '' } do
    up.piece = 0
    h.results(nil, 'want-write')(c:write('first'))
    up.piece = 1e9
    h.results(5)(c:write(other))
    h.results('first')(s:read(100))
  end
end

tests['what a write or close could not send is theirs: handshake and read leave it alone'] = function()
  for name, result in pairs { write = 7, close = true } do
    local c, s, up, down = t.established()
    s:write('answer')
    c:setbio(down.rcb, function() error('broken pipe', 0) end)
    h.results(nil, 'broken pipe')(c[name](c, 'request'))
    h.results(true)(c:handshake())
    h.results('answer')(c:read(100))
    c:setbio(down.rcb, up.wcb)
    h.results(result)(c[name](c, 'request'))
    if name == 'write' then h.results('request')(s:read(100)) else h.results(nil, 'closed')(s:read(100)) end
  end
end

tests['close after a write that returned want-write'] = function()
  local c, s, up = t.established()
  up.piece = 0
  h.results(nil, 'want-write')(c:write('pending'))
  h.results(nil, 'want-write')(c:close())
  up.piece = 1e9
  local ok, err
  repeat ok, err = c:close() until err ~= 'want-write'
  h.same(ok, true)
  h.results('pending')(s:read(100))
  h.results(nil, 'closed')(s:read(100))
end

tests['at most 16,384 bytes at once'] = function()
  local c, s = t.established()
  h.results(16384)(c:write(('x'):rep(100000)))
  h.same(#s:read(100000), 16384)
  h.results(nil, 'want-read')(s:read(100000))
end

tests['every length of record arrives'] = function()
  local c, s = t.established()
  for _, size in ipairs { 1, 2, 15, 16, 17, 255, 256, 1000, 4096, 16383, 16384 } do
    local data = ('\0\255a'):rep(size):sub(1, size)
    h.results(size)(c:write(data))
    h.results(data)(s:read(16384))
    h.results(size)(s:write(data))
    h.results(data)(c:read(16384))
  end
end

tests['what did not fit is there for the next call'] = function()
  local c, s, up, down = t.established()
  c:write('abcdef')
  h.results('ab')(s:read(2))
  s:setbio(error, error)
  h.results('')(s:read(0))
  h.results('cd')(s:read(2))
  h.results('ef')(s:read(2))
  s:setbio(up.rcb, down.wcb)
  h.results(nil, 'want-read')(s:read(2))
  h.results(nil, 'want-read')(s:read(0))
  c:write('gh')
  h.results('')(s:read(0))
  h.results('gh')(s:read(20))
end

tests['write of nothing is 0, and harmless'] = function()
  local c, s = t.established()
  h.results(0)(c:write(''))
  c:write('x')
  local data = s:read(9)
  if data == '' then data = s:read(9) end
  h.same(data, 'x')
end

tests['close: nothing before the handshake, twice is fine'] = function()
  local c, s, up = t.pair()
  h.results(true)(c:close())
  h.same(#up.sent, 0)
  h.same(t.shake(c, s), nil)
  h.results(true)(c:close())
  h.results(true)(c:close())
  h.results(nil, 'closed')(s:read(1))
end

tests['close calls only wcb'] = function()
  local c, s, up = t.established()
  s:write('unread')
  c:setbio(error, up.wcb)
  h.results(true)(c:close())
  c:setbio(error, error)
  h.results(true)(c:close())
end

tests['each side closes for itself'] = function()
  local c, s = t.established()
  c:write('last words')
  c:close()
  h.results('last words')(s:read(100))
  h.results(nil, 'closed')(s:read(100))
  h.results(true)(s:handshake())
  h.results(6)(s:write('answer'))
  h.results('answer')(c:read(100))
  h.results(true)(s:close())
  h.results(nil, 'closed')(c:read(100))
end

tests['reset: a new session, with the same callbacks'] = function()
  local c, s, up, down = t.established()
  s:write('unread')
  c:read(2)
  h.results()(c:reset())
  h.results()(s:reset())
  up.data, down.data = '', ''
  h.same(t.shake(c, s), nil)
  h.results(nil, 'want-read')(c:read(100))
  h.same(t.send(c, s, 'again'), 'again')
  -- in the middle of a handshake, and of a record
  c:reset()
  s:reset()
  up.data, down.data, up.piece = '', '', 7
  c:handshake()
  s:handshake()
  c:reset()
  s:reset()
  up.data, down.data, up.piece = '', '', 1e9
  h.same(t.shake(c, s), nil)
end

tests['a changed record is fatal, the peer hears of it, both may begin anew'] = function()
  for _, place in ipairs { 6, 10, 25 } do
    local c, s, up, down = t.established()
    c:write('something to spoil')
    local byte = up.data:byte(place)
    up.data = up.data:sub(1, place - 1) .. string.char((byte + 1) % 256) .. up.data:sub(place + 1)
    h.fails(s:read(100))
    local err = h.fails(c:read(100))
    assert(err:find('alert'), err)
    up.data, down.data = '', ''
    h.same(t.shake(c, s), nil)
    h.same(t.send(c, s, 'fine'), 'fine')
  end
end

tests['doubled and missing records are fatal'] = function()
  local c, s, up = t.established()
  c:write('one')
  up.data = up.data .. up.data
  h.results('one')(s:read(100))
  h.fails(s:read(100))
  c, s, up = t.established()
  c:write('one')
  up.data = ''
  c:write('two')
  h.fails(s:read(100))
end

tests['an alert that cannot be written is dropped'] = function()
  for _, wcb in ipairs { function() return 0 end, function() error('gone', 0) end, function() return nil end,
    function() return -1 end, function(data) return 1 end } do
    local c, s, up, down = t.established()
    s:setbio(up.rcb, wcb)
    up.data = ('\23\3\3\0\32' .. ('x'):rep(32))
    h.fails(s:read(100))
    s:setbio(up.rcb, down.wcb)
    c:reset()
    up.data, down.data = '', ''
    h.same(t.shake(c, s), nil)
  end
end

tests['what is no TLS is fatal'] = function()
  for _, garbage in ipairs { 'GET / HTTP/1.1\r\n\r\n', ('\0'):rep(100), ('\255'):rep(100), 'SSH-2.0-x\r\n',
    '\22\3\1\255\255' .. ('x'):rep(100), '\23\3\3\72\1' .. ('x'):rep(100), '\22\3\1\0\0' .. ('x'):rep(100) } do
    local s = ssl.newcontext(ssl.newconfig('tls-server'), function(size)
      local data = garbage:sub(1, size)
      garbage = garbage:sub(size + 1)
      return data
    end, function(data) return #data end)
    h.fails(s:handshake())
  end
end

tests['a record longer than any buffer is fatal, and not asked for'] = function()
  local c, s, up = t.established()
  up.data = '\23\3\3\255\255'
  local asked = #up.asked
  h.fails(s:read(100))
  h.same(#up.asked, asked + 1)
end

tests['without cacert nothing is checked'] = function()
  t.established(ssl.newconfig('tls-client'), ssl.newconfig('tls-server', nil, h.file('other.pem')))
end

tests['with cacert the server is'] = function()
  local ca = ssl.newconfig('tls-client', h.file('ca.pem'))
  for _, good in ipairs { 'server.pem', 'chain.pem', 'pkcs1.pem' } do
    t.established(ca, ssl.newconfig('tls-server', nil, h.file(good)))
  end
  for _, bad in ipairs { 'other.pem', 'expired.pem', 'client.pem' } do
    local err = t.shake(t.pair(ca, ssl.newconfig('tls-server', nil, h.file(bad))))
    assert(err and err:find('^client: '), bad .. ': ' .. tostring(err))
  end
  local err = t.shake(t.pair(ca, ssl.newconfig('tls-server')))
  assert(err and err:find('^client: '), err)
  -- a leaf that is itself trusted
  t.established(ssl.newconfig('tls-client', h.file('self.pem')), ssl.newconfig('tls-server', nil, h.file('self.pem')))
end

tests['with cacert a server demands a certificate'] = function()
  local server = ssl.newconfig('tls-server', h.file('ca.pem'), h.file('server.pem'))
  t.established(ssl.newconfig('tls-client', h.file('ca.pem'), h.file('client.pem')), server)
  for _, cert in ipairs { 'none', 'other.pem', 'server.pem' } do
    local c, s = t.pair(ssl.newconfig('tls-client', nil, cert ~= 'none' and h.file(cert) or nil), server)
    local err = t.shake(c, s)
    if not err or not err:find('^server: ') then h.fails(s:handshake()) end
    h.fails(c:read(1))
  end
end

tests['sethostname: the name must match, in any case'] = function()
  local client = ssl.newconfig('tls-client', h.file('ca.pem'))
  local server = ssl.newconfig('tls-server', nil, h.file('server.pem'))
  for name, good in pairs { ['localhost'] = true, ['LOCALhost'] = true, ['example.com'] = false, [''] = true } do
    local c, s = t.pair(client, server)
    c:sethostname(name ~= '' and name or nil)
    local err = t.shake(c, s)
    h.same(err == nil, good, name)
    if good and name ~= '' then
      h.same(s:info().hostname:lower(), 'localhost')
      c:reset()
      s:reset()
      h.same(t.shake(c, s), nil)
      h.same(s:info().hostname:lower(), 'localhost')
    end
  end
  -- without cacert it is only sent
  local c, s = t.pair(ssl.newconfig('tls-client'), server)
  c:sethostname('example.com')
  h.same(t.shake(c, s), nil)
  h.same(s:info().hostname, 'example.com')
end

tests['a table: versions, alpn, groups, ciphers'] = function()
  local function negotiate(client, server)
    client.mode, server.mode = 'tls-client', 'tls-server'
    local c, s = t.established(ssl.newconfig(client), ssl.newconfig(server))
    local ci, si = c:info(), s:info()
    for _, key in ipairs { 'version', 'suite', 'group', 'alpn', 'hostname', 'resumed' } do h.same(ci[key], si[key], key) end
    return ci, c, s
  end
  h.same(negotiate({}, {}).version, 'TLS 1.3')
  h.same(negotiate({ versions = { '1.2' } }, {}).version, 'TLS 1.2')
  h.same(negotiate({}, { versions = '1.2' }).version, 'TLS 1.2')
  h.same(negotiate({ alpn = { 'h2', 'http/1.1' } }, { alpn = 'http/1.1' }).alpn, 'http/1.1')
  h.same(negotiate({ groups = { 'P-384', 'X25519' } }, { groups = { 'secp384r1' } }).group, 'P-384')
  h.same(negotiate({ groups = { 'X25519', 'P-256' } }, { groups = 'P-256' }).group, 'P-256')
  h.same(negotiate({ ciphers = 'TLS_CHACHA20_POLY1305_SHA256' }, {}).suite, 'TLS_CHACHA20_POLY1305_SHA256')
  h.same(negotiate({ versions = '1.2', ciphers = 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384' }, {}).suite,
    'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384')
  h.same(negotiate({ hostname = 'localhost', cacert = h.content('ca.pem') },
    { cert = h.content('server.pem') }).hostname, 'localhost')
  local err = t.shake(t.pair(ssl.newconfig { mode = 'tls-client', alpn = 'a' }, ssl.newconfig { mode = 'tls-server', alpn = 'b' }))
  assert(err and err:find('no_application_protocol'), err)
  err = t.shake(t.pair(ssl.newconfig { mode = 'tls-client', versions = '1.2' }, ssl.newconfig { mode = 'tls-server', versions = '1.3' }))
  assert(err and err:find('protocol_version'), err)
  -- optional client certificates
  local server = { mode = 'tls-server', cacert = h.file('ca.pem'), cert = h.file('server.pem'), verify = 'optional' }
  local _, s = t.established(nil, ssl.newconfig(server))
  h.same(s:info().peer, nil)
  _, s = t.established(ssl.newconfig('tls-client', nil, h.file('client.pem')), ssl.newconfig(server))
  h.same(s:info().peer.subject, 'CN=client')
end

tests['a table: psk'] = function()
  local key = { identity = 'device 7', key = ('k'):rep(32) }
  for _, version in ipairs { '1.2', '1.3' } do
    local c, s = t.pair(ssl.newconfig { mode = 'tls-client', psk = key, versions = version },
      ssl.newconfig { mode = 'tls-server', psk = key })
    h.same(t.shake(c, s), nil)
    h.same(c:info().psk, 'device 7')
    h.same(s:info().psk, 'device 7')
    h.same(c:info().peer, nil)
  end
  local c, s = t.pair(ssl.newconfig { mode = 'tls-client', psk = key },
    ssl.newconfig { mode = 'tls-server', psk = { identity = 'device 7', key = 'another' } })
  h.same(t.shake(c, s) ~= nil, true)
  c, s = t.pair(ssl.newconfig { mode = 'tls-client', psk = key })
  local err = t.shake(c, s)
  assert(err and err:find('there is no ServerName', 1, true), err) -- to verify a server with a certificate by
end

tests['a table: sessions and tickets'] = function()
  for _, tickets in ipairs { true, false } do
    local client = ssl.newconfig { mode = 'tls-client', sessions = 2 }
    local server = ssl.newconfig { mode = 'tls-server', tickets = tickets }
    for i = 1, 3 do
      local c, s = t.pair(client, server)
      h.same(t.shake(c, s), nil)
      h.same(t.send(s, c, 'the ticket comes with this'), 'the ticket comes with this')
      h.same(c:info().resumed, tickets and i > 1)
      h.same(s:info().resumed, tickets and i > 1)
    end
  end
end

tests['info: before, and after'] = function()
  local c, s = t.pair(ssl.newconfig('tls-client', h.file('ca.pem')), ssl.newconfig('tls-server', nil, h.file('server.pem')))
  h.same(c:info().complete, false)
  h.same(c:info().mode, 'tls-client')
  h.same(t.shake(c, s), nil)
  local info = c:info()
  h.same(info.complete, true)
  h.same(info.resumed, false)
  h.same(info.version, 'TLS 1.3')
  assert(info.suite:find('^TLS_') and info.group, info.suite)
  h.same(info.peer.subject, 'CN=localhost')
  h.same(info.peer.issuer, 'CN=Test CA')
  h.same(#info.peer.sha256, 64)
  assert(info.peer.pem:find('BEGIN CERTIFICATE'))
  assert(info.peer.notafter > info.peer.notbefore)
end

tests['export: both sides get the same, others something else'] = function()
  local c, s = t.pair()
  h.results(nil, 'invalid operation')(c:export('label', 'context', 32))
  h.same(t.shake(c, s), nil)
  local key = c:export('label', 'context', 32)
  h.same(#key, 32)
  h.same(s:export('label', 'context', 32), key)
  h.same(s:export('label', nil, 32) ~= key, true)
  h.same(s:export('other', 'context', 32) ~= key, true)
  h.same(#c:export('label', nil, 100), 100)
  h.same(c:export('label', nil, 0), '')
  h.throws('value out of range', c.export, c, 'label', nil, -1)
  h.throws('value out of range', c.export, c, 'label', nil, 16385)
  h.results(nil, 'invalid operation')(c:export('label', nil, 16384))
  h.throws('string expected', c.export, c)
  h.throws('number expected', c.export, c, 'label')
end

tests['keylog'] = function()
  local name = os.tmpname()
  t.established(ssl.newconfig { mode = 'tls-client', keylog = name })
  local text = io.open(name):read('*a')
  os.remove(name)
  assert(text:find('CLIENT_HANDSHAKE_TRAFFIC_SECRET %x+ %x+'), text)
  h.throws("can't open key log", ssl.newconfig, { mode = 'tls-client', keylog = h.file('no/such/folder') })
end

tests['cookies'] = function()
  local cookie = ssl.getcookie('192.0.2.1#4433')
  h.same(#cookie, 44)
  assert(cookie:find('^[%w+/=]+$'), cookie)
  h.results(true)(ssl.checkcookie('192.0.2.1#4433', cookie))
  h.results(false)(ssl.checkcookie('192.0.2.1#4434', cookie))
  for _, id in ipairs { '', '\0', ('x'):rep(1000), '1' } do
    h.same(ssl.checkcookie(id, ssl.getcookie(id)), true)
    h.same(ssl.checkcookie(id .. 'x', ssl.getcookie(id)), false)
  end
  h.same(ssl.checkcookie(1, ssl.getcookie('1')), true)
  -- the same within a second, of which this sees the end at most once
  local first, second, third = ssl.getcookie('x'), ssl.getcookie('x'), ssl.getcookie('x')
  h.same(first == second or second == third, true)
  for _, bad in ipairs { '', 'x', cookie .. '=', cookie:sub(1, 43), ('A'):rep(44), ('='):rep(44), ('\0'):rep(44), 5 } do
    h.results(false)(ssl.checkcookie('192.0.2.1#4433', bad))
  end
  for _, bad in ipairs { {}, true, print } do
    h.throws('string expected', ssl.getcookie, bad)
    h.throws('string expected', ssl.checkcookie, 'x', bad)
    h.throws('string expected', ssl.checkcookie, bad, 'x')
  end
  h.throws('string expected', ssl.getcookie)
end

h.run(tests)
