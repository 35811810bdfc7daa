-- DTLS.
local h, t = require 'harness', require 'transport'
local ssl = require 'mbedtls.ssl'

local tests = {}

local peer = '192.0.2.1#4433'

local function new(client, server)
  return t.pair(ssl.newconfig(client or { mode = 'dtls-client' }), ssl.newconfig(server or { mode = 'dtls-server' }),
    t.datagrams)
end

-- Up to the server's first true.
local function greet(c, s)
  for _ = 1, 10 do
    local ok, err = c:handshake()
    h.same(ok, nil)
    h.same(err, 'want-read')
    s:setpeerid(peer)
    ok, err = s:handshake()
    if ok then return end
    h.same(err ~= 'invalid operation', true, tostring(err))
  end
  error('no ClientHello is ever verified', 2)
end

-- Up to the end of both.
local function shake(c, s)
  greet(c, s)
  for _ = 1, 100 do
    local a, aerr = c:handshake()
    local b, berr = s:handshake()
    if a and b then return end
    if not a and not t.waits(aerr) then error('client: ' .. tostring(aerr), 2) end
    if not b and not t.waits(berr) then error('server: ' .. tostring(berr), 2) end
  end
  error('it never ends', 2)
end

local function established(...)
  local c, s, up, down = new(...)
  shake(c, s)
  return c, s, up, down
end

local versions = { '1.2', '1.3' }

tests['both versions, both ways'] = function()
  for _, version in ipairs(versions) do
    for _, side in ipairs { 1, 2 } do
      local client, server = { mode = 'dtls-client' }, { mode = 'dtls-server' }
      local sides = { client, server }
      sides[side].versions = version
      local c, s = established(client, server)
      h.same(c:info().version, 'DTLS ' .. version)
      h.same(s:info().version, 'DTLS ' .. version)
      for _, size in ipairs { 1, 100, 1000, 16384 } do
        local data = ('d'):rep(size)
        h.results(size)(c:write(data))
        h.results(data)(s:read(16384))
        h.results(size)(s:write(data))
        h.results(data)(c:read(16384))
      end
      h.results(nil)(s:gettimeout())
    end
  end
end

-- A transport that gives all that has come as one datagram, as the original's tests do.
local function joining()
  local d = t.datagrams()
  function d.rcb(size)
    local joined = table.concat(d.queue):sub(1, size)
    d.queue = {}
    return joined
  end
  return d
end

tests['a transport that joins datagrams'] = function()
  for _, version in ipairs(versions) do
    for _, mtu in ipairs { 300, 1200 } do
      local c, s = t.pair(ssl.newconfig { mode = 'dtls-client', versions = version, mtu = mtu },
        ssl.newconfig { mode = 'dtls-server', mtu = mtu }, joining)
      for _ = 1, 2 do
        shake(c, s)
        h.results(3)(c:write('abc'))
        h.results(2)(c:write('de'))
        h.results('abc')(s:read(10))
        h.results('de')(s:read(10))
        h.results(true)(c:close())
        h.results(nil, 'closed')(s:read(10))
        c:reset()
        s:reset()
      end
    end
  end
end

tests['a flood of garbage does not prolong an operation forever'] = function()
  for _, mode in ipairs { 'dtls-client', 'dtls-server' } do
    local asked = 0
    local ctx = ssl.newcontext(ssl.newconfig(mode), function()
      asked = asked + 1
      return 'garbage'
    end, function(data) return #data end)
    if mode == 'dtls-server' then ctx:setpeerid(peer) end
    h.results(nil, 'want-read')(ctx:handshake())
    h.same(asked > 0 and asked < 1000, true, asked)
  end
end

tests['connection IDs'] = function()
  local c, s, up, down = established({ mode = 'dtls-client', cid = 0 }, { mode = 'dtls-server', cid = 8 })
  c:write('words')
  h.results('words')(s:read(100))
  s:write('words')
  h.results('words')(c:read(100))
  h.same(#up.sent[#up.sent] - #down.sent[#down.sent], 8)
end

tests['psk, sessions, alpn and export'] = function()
  local key = { identity = 'device 7', key = ('k'):rep(32) }
  for _, version in ipairs(versions) do
    local c, s = established({ mode = 'dtls-client', psk = key, versions = version }, { mode = 'dtls-server', psk = key })
    h.same(c:info().psk .. s:info().psk, 'device 7device 7')
    local client = ssl.newconfig { mode = 'dtls-client', sessions = 1, versions = version, alpn = { 'a', 'b' } }
    local server = ssl.newconfig { mode = 'dtls-server', alpn = 'b' }
    for _, resumed in ipairs { false, true } do
      c, s = t.pair(client, server, t.datagrams)
      shake(c, s)
      h.same(t.send(s, c, 'the ticket comes with this'), 'the ticket comes with this')
      h.same(c:info().resumed, resumed)
      h.same(s:info().resumed, resumed)
      h.same(c:info().alpn, 'b')
      h.same(c:export('label', nil, 32), s:export('label', nil, 32))
    end
  end
end

tests['rcb is offered room for the largest datagram'] = function()
  local c, s, up, down = established()
  for _, d in ipairs { up, down } do
    for _, size in ipairs(d.asked) do h.same(size, 16717) end
  end
end

tests['no datagram yet: want-read, no timer'] = function()
  local _, s = new()
  h.results(nil, 'want-read')(s:handshake())
  h.results(nil)(s:gettimeout())
  s:setpeerid(peer)
  h.results(nil, 'want-read')(s:handshake())
  h.results(nil)(s:gettimeout())
end

tests['a ClientHello but no identity'] = function()
  local c, s, up, down = new()
  c:handshake()
  h.results(nil, 'invalid operation')(s:handshake())
  h.same(#down.sent, 0)
  s:setpeerid(peer)
  s:handshake()
end

tests['an unverified ClientHello is fatal, and answered with less than it'] = function()
  local c, s, up, down = new()
  h.results()(s:setpeerid('not this'))
  h.results()(s:setpeerid(peer))
  h.results(nil, 'want-read')(c:handshake())
  h.fails(s:handshake())
  h.same(#down.sent, 1)
  assert(#down.sent[1] < #up.sent[1])
  h.results(nil)(s:gettimeout())
  -- the identity is forgotten
  h.results(nil, 'want-read')(c:handshake())
  h.results(nil, 'invalid operation')(s:handshake())
  s:setpeerid(peer)
  h.results(true)(s:handshake())
  -- the second step
  for _ = 1, 10 do
    c:handshake()
    if s:handshake() then break end
  end
  h.results(true)(s:handshake())
end

tests['the answer to an unverified ClientHello waits for the transport'] = function()
  for name, argument in pairs { handshake = 0, read = 0, write = 'x' } do
    local c, s, up, down = new()
    local function step() return s[name](s, argument) end
    c:handshake()
    s:setpeerid(peer)
    down.piece = 0
    h.results(nil, 'want-write')(step())
    h.results(nil)(s:gettimeout())
    s:setbio(up.rcb, function() error('gone', 0) end)
    h.results(nil, 'gone')(step())
    s:setbio(up.rcb, function() return -1 end)
    h.results(nil, 'invalid write result')(step())
    s:setbio(up.rcb, down.wcb)
    down.piece = 1
    h.fails(step())
    h.same(#down.sent, 1)
    c:handshake()
    h.results(nil, 'invalid operation')(step())
    s:setpeerid(peer)
    h.results(true)(s:handshake())
  end
end

tests['any string is an identity'] = function()
  for _, id in ipairs { '', '\0', ('x'):rep(1000), 7 } do
    local c, s = new()
    c:handshake()
    s:setpeerid(id)
    h.fails(s:handshake())
    c:handshake()
    s:setpeerid(id)
    h.results(true)(s:handshake())
  end
end

tests['any context verifies a cookie that another asked for'] = function()
  local c, s, up, down = new()
  c:handshake()
  s:setpeerid(peer)
  h.fails(s:handshake())
  c:handshake()
  local other = ssl.newcontext(ssl.newconfig('dtls-server'), up.rcb, down.wcb)
  other:setpeerid(peer)
  h.results(true)(other:handshake())
end

tests['a cookie for another identity'] = function()
  local c, s, up, down = new()
  c:handshake()
  s:setpeerid(peer)
  h.fails(s:handshake())
  c:handshake()
  s:setpeerid('192.0.2.2#4433')
  h.fails(s:handshake())
end

tests['garbage instead of a ClientHello sends nothing'] = function()
  for _, garbage in ipairs { 'x', ('\0'):rep(100), ('\22\254\253'):rep(50), ('\255'):rep(1500) } do
    local _, s, up, down = new()
    up.wcb(garbage)
    s:setpeerid(peer)
    local ok, err = s:handshake()
    h.same(ok, nil)
    h.same(type(err), 'string')
    h.same(#down.sent, 0)
  end
end

tests['read and write perform the second step'] = function()
  local c, s = new()
  greet(c, s)
  for _ = 1, 10 do
    c:write('x')
    if s:read(10) == 'x' then return end
  end
  error('nothing was read')
end

tests['read and write perform a client\'s handshake'] = function()
  for _, version in ipairs(versions) do
    for name, argument in pairs { read = 100, write = 'x' } do
      local c, s = new({ mode = 'dtls-client', versions = version })
      for _ = 1, 10 do
        local _, err = c[name](c, argument)
        if err == nil then break end
        h.same(err, 'want-read')
        s:setpeerid(peer)
        if s:handshake() and s:info().complete then s:write('y') end
      end
      h.same(c:info().complete and s:info().complete, true, version .. ' ' .. name)
      h.results(true)(c:handshake())
    end
  end
end

tests['gettimeout: after a flight, not before and not after'] = function()
  local best = 0
  for _ = 1, 20 do -- a busy machine may lose some time, but not each time
    local c, s, up = new()
    h.results(nil)(c:gettimeout())
    c:handshake()
    local first = c:gettimeout()
    assert(first and first >= 0 and first <= 1, first)
    h.same(#up.sent, 1)
    c:handshake() -- not yet time to send again
    assert(#up.sent == 1 or c:gettimeout() > 1)
    c:reset()
    h.results(nil)(c:gettimeout())
    best = math.max(best, first)
  end
  assert(best > 0.9, best)
end

tests['one call never joins datagrams; what did not fit comes next'] = function()
  local c, s = established()
  c:write('one')
  c:write('two')
  h.results('on')(s:read(2))
  h.results('')(s:read(0))
  h.results('e')(s:read(9))
  h.results('two')(s:read(9))
  h.results(nil, 'want-read')(s:read(9))
  h.results(nil, 'want-read')(s:read(0))
end

tests['more than 16,384 bytes'] = function()
  local c, s, up = established()
  local sent = #up.sent
  h.results(nil, 'invalid operation')(c:write(('x'):rep(16385)))
  h.same(#up.sent, sent)
  h.results(4)(c:write('fine'))
  h.results('fine')(s:read(9))
end

tests['lost, doubled, changed, reordered and foreign datagrams'] = function()
  for _, version in ipairs(versions) do
    local c, s, up = established({ mode = 'dtls-client', versions = version })
    c:write('lost')
    table.remove(up.queue)
    c:write('twice')
    up.queue[2] = up.queue[1]
    h.results('twice')(s:read(9))
    h.results(nil, 'want-read')(s:read(9))
    c:write('changed')
    local d = up.queue[1]
    up.queue[1] = d:sub(1, -2) .. string.char((d:byte(-1) + 1) % 256)
    h.results(nil, 'want-read')(s:read(9))
    c:write('first')
    c:write('second')
    up.queue[1], up.queue[2] = up.queue[2], up.queue[1]
    h.results('second')(s:read(9))
    h.results('first')(s:read(9))
    up.wcb('foreign')
    up.wcb(('\0'):rep(1000))
    h.results(nil, 'want-read')(s:read(9))
    h.same(t.send(c, s, 'still there'), 'still there')
  end
end

tests['want-write'] = function()
  local c, s, up = new()
  up.piece = 0
  h.results(nil, 'want-write')(c:handshake())
  up.piece = 1
  shake(c, s)
  up.piece = 0
  h.results(nil, 'want-write')(c:write('kept'))
  up.piece = 1
  h.results(4)(c:write('kept'))
  h.results('kept')(s:read(9))
end

tests['close'] = function()
  for _, version in ipairs(versions) do
    local c, s = established({ mode = 'dtls-client', versions = version })
    h.results(true)(c:close())
    h.results(true)(c:close())
    h.results(nil, 'closed')(s:read(9))
    h.results(6)(s:write('answer'))
    h.results('answer')(c:read(9))
  end
end

tests['reset, and a fatal error, forget the identity'] = function()
  local c, s, up = established()
  c:reset()
  s:reset()
  up.queue = {}
  h.results(nil, 'want-read')(c:handshake())
  h.results(nil, 'invalid operation')(s:handshake())
  s:setpeerid(peer)
  h.fails(s:handshake())
  shake(c, s)
end

tests['verification'] = function()
  established({ mode = 'dtls-client', cacert = h.file('ca.pem'), hostname = 'localhost' },
    { mode = 'dtls-server', cert = h.file('server.pem') })
  local c, s = new({ mode = 'dtls-client', cacert = h.file('ca.pem') }, { mode = 'dtls-server' })
  greet(c, s)
  local failed
  for _ = 1, 10 do
    local ok, err = c:handshake()
    if not ok and not t.waits(err) then failed = err break end
    s:handshake()
  end
  assert(failed and failed:find('certificate'), failed)
  h.results(nil)(c:gettimeout()) -- it waits for nothing: the next session begins with a ClientHello
  h.results(nil, 'want-read')(c:handshake())
end

tests['callbacks that raise and return nonsense'] = function()
  local c, s, up, down = new()
  c:setbio(function() error({}) end, up.wcb)
  h.same(type(select(2, c:handshake())), 'table')
  c:setbio(function(size) return ('x'):rep(size + 1) end, up.wcb)
  h.results(nil, 'invalid read result')(c:handshake())
  c:setbio(down.rcb, up.wcb)
  up.queue = { up.queue[1] }
  shake(c, s)
end

tests['a callback that yields'] = function()
  if not h.yields then h.skip('callbacks cannot yield here') end
  local c, s, up, down = new()
  c:setbio(function(size)
    while #down.queue == 0 do coroutine.yield() end
    return down.rcb(size)
  end, up.wcb)
  local client = coroutine.wrap(function()
    assert(c:handshake())
    assert(c:write('hello'))
    return c:read(10)
  end)
  for _ = 1, 20 do
    local got = client()
    if got then return h.same(got, 'world') end
    s:setpeerid(peer)
    if s:read(10) == 'hello' then s:write('world') end
  end
  error('it never ends')
end

h.run(tests)
