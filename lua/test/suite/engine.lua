-- newengine: bytes in and out as strings, without callbacks.
local h, t = require 'harness', require 'transport'
local ssl = require 'mbedtls.ssl'

local tests = {}

local function default_client()
  return ssl.newconfig { mode = 'tls-client', versions = os.getenv('HERMETIC_TEST_VERSION') }
end

-- Moves what both have to say, in pieces.
local function pass(from, to, piece)
  local data = from:drain()
  for i = 1, #data, piece or math.max(#data, 1) do
    h.results(true)(to:feed(data:sub(i, i + (piece or #data) - 1)))
    to:handshake()
  end
  return #data
end

local function shake(c, s, piece)
  for _ = 1, 20 do
    local a, aerr = c:handshake()
    pass(c, s, piece)
    local b, berr = s:handshake()
    pass(s, c, piece)
    if a and b then return end
    if not a and aerr ~= 'want-read' then return 'client: ' .. aerr end
    if not b and berr ~= 'want-read' then return 'server: ' .. berr end
  end
  return 'it never ends'
end

local function established(client, server, piece)
  local c, s = ssl.newengine(client or default_client()), ssl.newengine(server or ssl.newconfig('tls-server'))
  h.same(shake(c, s, piece), nil)
  return c, s
end

tests['a session, in pieces of any size'] = function()
  for _, piece in ipairs { false, 1, 7, 1000 } do
    local c, s = established(nil, nil, piece or nil)
    for _, size in ipairs { 1, 1000, 16384 } do
      local data = ('d'):rep(size)
      h.results(size)(c:write(data))
      pass(c, s)
      h.results(data)(s:read(16384))
      h.results(nil, 'want-read')(s:read(1))
      h.results(size)(s:write(data))
      pass(s, c)
      h.results(data)(c:read(16384))
    end
    h.results(true)(c:close())
    pass(c, s)
    h.results(nil, 'closed')(s:read(1))
  end
end

tests['drain returns all, and then nothing'] = function()
  local c, s = established()
  for i = 1, 20 do h.results(10000)(c:write(('x'):rep(10000))) end
  local data = c:drain()
  assert(#data > 200000)
  h.same(c:drain(), '')
  s:feed(data)
  local got = 0
  while got < 200000 do got = got + #s:read(16384) end
  h.same(s:pending(), 0)
end

tests['it never wants to write, and want says what for'] = function()
  local c = ssl.newengine(default_client())
  h.same(c:want(), 'nothing')
  h.results(nil, 'want-read')(c:handshake())
  h.same(c:want(), 'read')
  assert(#c:drain() > 100)
end

tests['pending counts records that are complete'] = function()
  local c, s = established()
  c:write('hello')
  local data = c:drain()
  s:feed(data:sub(1, 10))
  h.same(s:pending(), 0)
  s:feed(data:sub(11))
  h.same(s:pending(), #data)
  h.results('he')(s:read(2))
  h.same(s:pending(), 3)
end

tests['a fatal error: its alert is there to be drained, and the next session begins'] = function()
  local c, s = established()
  s:feed('\23\3\3\0\32' .. ('x'):rep(32))
  h.fails(s:read(100))
  pass(s, c)
  local err = h.fails(c:read(100))
  assert(err:find('alert'), err)
  h.same(c:drain(), '')
  h.same(shake(c, s), nil)
end

tests['reset forgets what was fed, and what was to be drained'] = function()
  local c, s = established()
  c:write('data')
  s:feed('some')
  h.results()(c:reset())
  h.results()(s:reset())
  h.same(s:drain(), '')
  h.same(shake(c, s), nil)
end

tests['garbage'] = function()
  for _, garbage in ipairs { 'GET / HTTP/1.1\r\n\r\n', ('\0'):rep(100), ('\255'):rep(100000) } do
    local s = ssl.newengine(ssl.newconfig('tls-server'))
    s:feed(garbage)
    h.fails(s:handshake())
  end
end

tests['early data'] = function()
  local client = ssl.newconfig { mode = 'tls-client', sessions = 1, earlydata = true }
  local server = ssl.newconfig { mode = 'tls-server', earlydata = 1000 }
  local c, s = established(client, server)
  s:write('after the ticket')
  pass(s, c)
  h.results('after the ticket')(c:read(100))
  c, s = ssl.newengine(client), ssl.newengine(server)
  h.results(5)(c:writeearly('early'))
  s:feed(c:drain())
  h.results('early')(s:readearly(100))
  h.results(6)(s:writeearly('answer'))
  h.results(nil, 'want-read')(s:readearly(100))
  c:feed(s:drain())
  h.results('answer')(c:read(100))
  s:feed(c:drain())
  h.results('')(s:readearly(100))
  h.same(s:info().early, 'accepted')
end

tests['datagrams: one at a time'] = function()
  for _, version in ipairs { '1.2', '1.3' } do
    local c = ssl.newengine(ssl.newconfig { mode = 'dtls-client', versions = version })
    local s = ssl.newengine(ssl.newconfig 'dtls-server')
    local function move(from, to)
      for _ = 1, 100 do
        local datagram = from:drain()
        if datagram == '' then return end
        h.results(true)(to:feed(datagram))
        to:read(0)
      end
    end
    h.results(nil, 'want-read')(c:handshake())
    assert(c:gettimeout() <= 1)
    s:setpeerid('peer')
    s:feed(c:drain())
    h.fails(s:handshake()) -- a cookie is asked for
    move(s, c)
    s:setpeerid('peer')
    s:feed(c:drain())
    h.results(true)(s:handshake())
    for _ = 1, 5 do
      s:read(0)
      move(s, c)
      c:read(0)
      move(c, s)
    end
    h.same(c:info().complete and s:info().complete, true)
    c:write('one')
    c:write('two')
    local one, two = c:drain(), c:drain()
    h.same(c:drain(), '')
    h.results(true)(s:feed(two))
    h.results(nil, 'invalid operation')(s:feed(one)) -- read that first
    h.results('two')(s:read(10))
    h.results(true)(s:feed(one))
    h.results('one')(s:read(10))
    h.results(true)(s:feed('garbage'))
    h.results(nil, 'want-read')(s:read(10))
  end
end

tests['what belongs to the other kind of context is thrown'] = function()
  local e = ssl.newengine(default_client())
  local c = ssl.newcontext(default_client(), print, print)
  h.throws('operation not supported: the context has no callbacks', e.setbio, e, print, print)
  h.throws('operation not supported: the context has callbacks', c.feed, c, 'x')
  h.throws('operation not supported: the context has callbacks', c.drain, c)
  h.throws('string expected', e.feed, e)
  h.throws('string expected', e.feed, e, {})
  h.throws('mbedtls.ssl.config expected', ssl.newengine, e)
  h.throws('mbedtls.ssl.config expected', ssl.newengine)
end

tests['a function of the configuration'] = function()
  local ready
  local client = ssl.newconfig { mode = 'tls-client', verify = function() return ready end }
  local c, s = ssl.newengine(client), ssl.newengine(ssl.newconfig('tls-server'))
  c:handshake()
  pass(c, s)
  s:handshake()
  c:feed(s:drain())
  h.results(nil, 'want-answer')(c:handshake())
  h.same(c:want(), 'answer')
  ready = true
  h.same(shake(c, s), nil)
end

h.run(tests)
