-- Connections of the module `ssl`: what programs for LuaSec do with them.
local h, t = require 'harness', require 'sockets'
local socket, ssl = require 'socket', require 'ssl'

local tests = {}

tests['data in both directions, of any size'] = function()
  local c, s = t.established()
  for _, size in ipairs { 1, 1000, 16384, 100000 } do
    local data = ('d'):rep(size)
    for _, ends in ipairs { { c, s }, { s, c } } do
      local sent, got = 0, ''
      repeat
        local last, err, part = ends[1]:send(data, sent + 1)
        sent = last or part
        assert(last or err == 'wantwrite', err)
        local piece, rerr, rest = ends[2]:receive(size - #got)
        assert(piece or rerr == 'wantread', rerr)
        got = got .. (piece or rest)
        if not last then socket.select({ ends[2] }, nil, 0.01) end
      until sent == size
      if #got < size then got = got .. t.await(ends[2], size - #got) end
      h.same(got, data)
    end
  end
end

tests['lines, numbers and prefixes'] = function()
  local c, s = t.established()
  h.results(30, nil, nil)(c:send('one\r\n\r\ntwo\rhalf\n12345rest\nlast'))
  h.results('one', nil, nil)(t.await(s, '*l'))
  h.results('', nil, nil)(s:receive())
  h.results('twohalf', nil, nil)(s:receive('*l'))
  h.results('', nil, nil)(s:receive(0))
  h.results('12345', nil, nil)(s:receive(5))
  h.results('pre-rest', nil, nil)(s:receive('*l', 'pre-'))
  h.results('xxla', nil, nil)(s:receive(4, 'xx'))
  h.results('xx', nil, nil)(s:receive(2, 'xx'))
  h.results(nil, 'wantread', 'yyst')(s:receive('*l', 'yy'))
  c:send('!\n')
  h.results('yyst!', nil, nil)(t.await(s, '*l', 'yyst'))
end

tests['a number may be a string'] = function()
  local c, s = t.established()
  c:send('12345')
  h.results('123', nil, nil)(t.await(s, '3'))
end

tests['all, until the peer closes'] = function()
  local c, s = t.established(t.client { protocol = 'tlsv1_2' }) -- no tickets, unread, that make TCP reset it
  c:send('all of ')
  c:send('it')
  c:close()
  s:settimeout(60)
  h.results('all of it', nil, nil)(s:receive '*a')
  h.results(nil, 'closed', '')(s:receive('*a'))
  h.results(nil, 'closed', '')(s:receive('*l'))
  h.results(nil, 'closed', 'p')(s:receive(5, 'p'))
end

tests['a line that is cut by close is a partial result'] = function()
  local c, s = t.established()
  c:send('half')
  c:close()
  h.results(nil, 'closed', 'half')(t.await(s, '*l'))
end

tests['a stream that is cut is not closed'] = function()
  local c, s = t.tcp()
  local conn = assert(ssl.wrap(s, t.server()))
  conn:settimeout(1)
  c:close()
  local ok, err = conn:dohandshake()
  h.same(ok, false)
  h.same(err, 'unexpected eof while reading')
  h.results(nil, 'closed', '')(conn:receive())
end

tests['ignore_unexpected_eof'] = function()
  local c, s = t.tcp()
  local conn = assert(ssl.wrap(s, t.server { options = { 'all', 'ignore_unexpected_eof' } }))
  conn:settimeout(1)
  c:close()
  h.results(false, 'closed')(conn:dohandshake())
end

tests['send takes a range'] = function()
  local c, s = t.established()
  h.results(4, nil, nil)(c:send('abcdef', 2, 4))
  h.results(6, nil, nil)(c:send('abcdef', -2))
  h.results(5, nil, nil)(c:send('abcdef', 5, -2))
  h.results('bcdefe', nil, nil)(t.await(s, 6))
  h.results(6, nil, nil)(c:send('abcdef', 7))
  h.results(0, nil, nil)(c:send(''))
end

tests['send says how far it has come'] = function()
  local c, s = t.established()
  local data = ('0123456789'):rep(1000000)
  local sent = 0
  local last, err, part = c:send(data)
  h.same(last, nil)
  h.same(err, 'wantwrite')
  h.same(c:want(), 'write')
  local parts, got = {}, 0
  while got < #data do
    local piece, _, rest = s:receive(65536)
    piece = piece or rest
    parts[#parts + 1], got = piece, got + #piece
    if not last then
      last, err, part = c:send(data, part + 1)
      assert(last or err == 'wantwrite', err)
    end
    if piece == '' then socket.select({ s }, nil, 0.01) end
  end
  h.same(table.concat(parts), data)
  sent = last or part
  h.same(sent, #data)
end

tests['timeouts, of both modes'] = function()
  local c, s = t.established()
  h.results(1)(s:settimeout(0.02))
  h.results(nil, 'wantread', '')(s:receive())
  h.results(1)(s:settimeout(10))
  h.results(1)(s:settimeout(0.02, 't'))
  local start = socket.gettime()
  h.results(nil, 'wantread', '')(s:receive(10))
  assert(socket.gettime() - start < 5)
  s:settimeout(nil, 't')
  s:settimeout(-1)
  c:send('at once')
  h.results('at once', nil, nil)(s:receive(7))
end

tests['what is not for settimeout'] = function()
  local c = t.pair()
  h.throws('invalid timeout mode', c.settimeout, c, 1, 'x')
  h.throws('number expected', c.settimeout, c, {})
end

tests['a handshake waits, and select works'] = function()
  local c, s = t.pair()
  h.results(false, 'wantread')(c:dohandshake())
  h.same(c:want(), 'read')
  local readable = socket.select({ s, c }, nil, 1)
  h.same(readable[1], s)
  h.same(readable[2], nil)
  h.same(t.shake(c, s), nil)
  h.results(true)(c:dohandshake())
end

tests['dirty: what select does not see'] = function()
  local c, s = t.established()
  h.same(s:dirty(), false)
  c:send('two\nlines\n')
  h.same(t.await(s), 'two')
  h.same(s:dirty(), true)
  local readable = socket.select({ s }, nil, 0)
  h.same(readable[1], s)
  s:receive()
  h.same(s:dirty(), false)
end

tests['nothing before the handshake'] = function()
  local c, s = t.pair()
  h.results(nil, 'closed', '')(c:receive())
  h.results(nil, 'closed', 0)(c:send('x'))
  h.results(nil, 'closed')(c:info())
  h.results(nil, 'closed')(c:getpeercertificate())
  h.results(nil, 'closed')(c:getpeerchain())
  h.results(false, 'closed')(c:getpeerverification())
  h.same((c:exportkeyingmaterial('EXPORTER-x', 16)), nil)
  h.same(s:dirty(), false)
end

tests['close'] = function()
  local c, s = t.established()
  assert(c:getfd() > 0)
  h.results()(c:close())
  h.results()(c:close())
  h.same(c:getfd(), -1)
  h.same(c:want(), 'nothing')
  h.same(c:dirty(), false)
  h.results(nil, 'closed', '')(c:receive())
  h.results(nil, 'closed', 0)(c:send('x'))
  assert(tostring(c):find '^SSL connection: .* %(closed%)$')
  h.results(nil, 'closed', '')(t.await(s))
end

tests['the socket is taken over'] = function()
  local c, s = t.tcp()
  local fd = c:getfd()
  local conn = assert(ssl.wrap(c, t.client()))
  h.same(conn:getfd(), fd)
  h.same(c:getfd(), -1)
  c:close()
  local other = assert(ssl.wrap(s, t.server()))
  conn:settimeout(0)
  other:settimeout(0)
  h.same(t.shake(conn, other), nil)
end

tests['methods are in a table'] = function()
  local c = t.pair()
  local methods = getmetatable(c).__index
  for _, name in ipairs { 'send', 'receive', 'close', 'settimeout', 'sni', 'dirty', 'getfd', 'info' } do
    h.same(type(methods[name]), 'function')
  end
end

tests['info'] = function()
  local c, s = t.established(t.client { protocol = 'tlsv1_2', ciphers = 'ECDHE-ECDSA-AES256-GCM-SHA384' })
  for _, conn in ipairs { c, s } do
    local info = conn:info()
    h.same(info.cipher, 'ECDHE-ECDSA-AES256-GCM-SHA384')
    h.same(info.protocol, 'TLSv1.2')
    h.same(info.key, 'ECDH')
    h.same(info.authentication, 'ECDSA')
    h.same(info.encryption, 'AESGCM(256)')
    h.same(info.mac, 'AEAD')
    h.same(info.bits, 256)
    h.same(info.algbits, 256)
    h.same(info.export, false)
    h.same(info.compression, nil)
    h.same(conn:info 'protocol', 'TLSv1.2')
    h.same(conn:info 'compression', nil)
  end
  c = t.established(t.client { protocol = 'tlsv1_3', ciphersuites = 'TLS_CHACHA20_POLY1305_SHA256' })
  h.same(c:info 'cipher', 'TLS_CHACHA20_POLY1305_SHA256')
  h.same(c:info 'key', 'any')
  h.same(c:info 'encryption', 'CHACHA20/POLY1305(256)')
end

tests['ALPN'] = function()
  local asked
  local function choose(names)
    asked = table.concat(names, ' ')
    return 'b'
  end
  for _, case in ipairs {
    { { 'a', 'b' }, { 'b', 'a' }, 'b' }, { 'a', { 'x', 'a' }, 'a' }, { { 'a' }, { 'x' }, nil }, { { 'a' }, nil, nil },
    { { 'a', 'b' }, choose, 'b' }, { { 'a', 'b' }, function() return { 'x', 'b' } end, 'b' }, { { 'a' }, function() end, nil },
  } do
    local c, s = t.established(t.client { alpn = case[1] }, t.server { alpn = case[2] })
    h.results(case[3])(c:getalpn())
    h.results(case[3])(s:getalpn())
  end
  h.same(asked, 'a b')
end

tests['SNI: a name is sent, and chooses a context'] = function()
  local other = assert(ssl.newcontext(t.server { key = h.file 'rsa.key', certificate = h.file 'rsa.crt' }))
  for _, case in ipairs { { 'other.example', 'RSA' }, { 'unknown.example', 'EC' }, { nil, 'EC' } } do
    local c, s = t.pair()
    if case[1] then c:sni(case[1]) end
    s:sni({ ['other.example'] = other }, false)
    h.same(t.shake(c, s), nil)
    h.same((select(2, c:getpeercertificate():pubkey())), case[2])
    h.results(case[1])(s:getsniname())
    h.results(case[1])(c:getsniname())
  end
end

tests['SNI, strict'] = function()
  local c, s = t.pair()
  c:sni 'unknown.example'
  s:sni({ ['other.example'] = assert(ssl.newcontext(t.server())) }, true)
  local cerr, serr = t.shake(c, s)
  h.same(cerr, 'tlsv1 unrecognized name')
  assert(serr)
end

tests['SNI: contexts that verify differently are refused'] = function()
  if t.original then h.skip 'LuaSec keeps the first context\'s verification' end
  local _, s = t.pair()
  local other = assert(ssl.newcontext(t.server { verify = 'peer', cafile = h.file 'ca.pem' }))
  h.throws('verifies clients differently', s.sni, s, { name = other })
  h.throws('contexts by name', s.sni, s, { name = 1 })
  h.throws('table expected', s.sni, s, 'name')
end

tests['keying material is that of the other side'] = function()
  local c, s = t.established()
  local secret = c:exportkeyingmaterial('EXPORTER-Channel-Binding', 32, '')
  h.same(#secret, 32)
  h.same(s:exportkeyingmaterial('EXPORTER-Channel-Binding', 32, ''), secret)
  assert(c:exportkeyingmaterial('EXPORTER-other', 32) ~= secret)
end

tests['tls-unique is what the client has finished with'] = function()
  local c, s = t.established(t.client { protocol = 'tlsv1_2' })
  local unique = c:getfinished()
  h.same(#unique, 12)
  h.results(unique)(s:getpeerfinished())
end

tests['other Finished messages are not there, and what is there instead'] = function()
  if t.original then h.skip 'LuaSec has them' end
  local c, s = t.established()
  local old_c, old_s = t.established(t.client { protocol = 'tlsv1_2' })
  for conn, names in pairs { [c] = { 'getfinished', 'getpeerfinished' }, [s] = { 'getfinished', 'getpeerfinished' },
    [old_c] = { 'getpeerfinished' }, [old_s] = { 'getfinished' } } do
    for _, name in ipairs(names) do
      local data, err = conn[name](conn)
      h.same(data, nil)
      assert(err:find 'exportkeyingmaterial')
    end
  end
  c:close()
  h.results(nil, 'closed')(c:getfinished())
end

tests['statistics'] = function()
  local c, s = t.established()
  c:send('12345')
  t.await(s, 5)
  h.same((select(2, c:getstats())), 5)
  h.same((s:getstats()), 5)
  h.results(1)(s:setstats(100, 200, 300))
  local received, sent, age = s:getstats()
  h.same(received, 100)
  h.same(sent, 200)
  assert(age >= 300 and age < 400)
end

tests['a wrong pattern'] = function()
  local c = t.established()
  h.throws('invalid receive pattern', c.receive, c, '*x')
  h.throws('invalid receive pattern', c.receive, c, -1)
  h.throws('string expected', c.send, c, {})
end

tests['garbage is an error that stays'] = function()
  local c, s = t.tcp()
  local conn = assert(ssl.wrap(s, t.server()))
  conn:settimeout(1)
  c:send(('GET / HTTP/1.0\r\n\r\n'):rep(10))
  local ok, err = conn:dohandshake()
  h.same(ok, false)
  assert(type(err) == 'string' and err ~= 'closed' and err ~= 'wantread', err)
  if t.original then return end
  h.same(select(2, conn:dohandshake()), err)
  h.results(nil, 'closed', '')(conn:receive())
end

tests['a connection that is collected is closed'] = function()
  local c, s = t.established()
  c = nil -- luacheck: ignore
  collectgarbage()
  collectgarbage()
  local data, err = t.await(s)
  h.same(data, nil)
  h.same(err, 'closed')
end

tests['TLS in TLS'] = function()
  if t.original then h.skip 'LuaSec wraps sockets only' end
  local c, s = t.established()
  local ic, is = assert(ssl.wrap(c, t.client())), assert(ssl.wrap(s, t.server()))
  ic:settimeout(0)
  is:settimeout(0)
  h.same(t.shake(ic, is), nil)
  ic:send('inner\n')
  h.same(t.await(is), 'inner')
end

h.run(tests)
