-- Sessions in files, and early data (0-RTT).
local h, t = require 'harness', require 'transport'
local ssl = require 'mbedtls.ssl'

local tests = {}

local function client_config(options)
  options = options or { sessions = 1 }
  options.mode, options.earlydata = 'tls-client', true
  return ssl.newconfig(options)
end

local function server_config() return ssl.newconfig { mode = 'tls-server', earlydata = 1000 } end

-- Connects once, so that the client has a session.
local function meet(client, server)
  local c, s = t.established(client, server)
  h.same(t.send(s, c, 'after the ticket'), 'after the ticket')
  return c, s
end

-- A client that has a session with the server, and nothing done yet.
local function pair(client, server)
  client, server = client or client_config(), server or server_config()
  meet(client, server)
  return t.pair(client, server)
end

-- Repeats an operation until it does not wait any more, with others in between.
local function await(between, f, ...)
  for _ = 1, 20000 do
    local result, err = f(...)
    if not t.waits(err) then return result, err end
    between()
  end
  error('it never ends', 2)
end

local function nothing() end

tests['early data is read, and answered, before the handshake is complete'] = function()
  local c, s = pair()
  h.results(6)(c:writeearly('early '))
  h.results(5)(c:writeearly('some words of it', 6, 5))
  h.results('early')(s:readearly(5))
  h.results(' ')(s:readearly(16384))
  h.results('words')(s:readearly(16384))
  h.results(nil, 'want-read')(s:readearly(16384))
  h.results(nil, 'want-read')(s:read(100))
  h.results(6)(s:writeearly('answer'))
  h.results('answer')(c:read(100))
  h.same(s:info().complete, false)
  h.results('')(s:readearly(100))
  h.results('')(s:readearly(100))
  for _, ctx in ipairs { c, s } do
    h.same(ctx:info().complete, true)
    h.same(ctx:info().resumed, true)
    h.same(ctx:info().early, 'accepted')
  end
  h.same(t.send(c, s, 'late words'), 'late words')
  h.same(t.send(s, c, 'late words'), 'late words')
  h.results(nil, 'invalid operation')(c:writeearly('too late'))
  h.results(4)(s:writeearly('late'))
  h.results('late')(c:read(100))
end

tests['the ClientHello and early data leave together'] = function()
  local c, s, up = pair()
  c:writeearly('early words')
  h.same(#up.sent, 1)
  h.results('early words')(s:readearly(100))
end

tests['no more is asked for than a record lacks'] = function()
  local c, s, up = pair()
  c:writeearly(('x'):rep(500))
  h.same(#s:readearly(16384), 500)
  h.results(nil, 'want-read')(s:readearly(16384))
  local n = #up.asked
  h.same(up.asked[n], 5)
  h.same(up.asked[n - 1], 500 + 17)
  h.same(up.asked[n - 2], 5)
end

tests['want-write and want-read, at every byte'] = function()
  local c, s, up, down = pair()
  local function gate(stream)
    local open = false
    return function(size)
      open = not open
      return open and stream.rcb(math.min(size, 1)) or ''
    end, function(data)
      open = not open
      return open and stream.wcb(data:sub(1, 1)) or 0
    end
  end
  local from_server, to_server = gate(down), select(2, gate(up))
  local from_client, to_client = gate(up), select(2, gate(down))
  c:setbio(from_server, to_server)
  s:setbio(from_client, to_client)
  h.same(await(nothing, c.writeearly, c, 'early words'), 11)
  h.same(await(nothing, s.readearly, s, 100), 'early words')
  h.same(await(nothing, s.writeearly, s, 'answer'), 6)
  local answer
  await(function() answer = answer or c:read(100) end, s.readearly, s, 100)
  h.same(answer or await(nothing, c.read, c, 100), 'answer')
  h.same(s:info().early, 'accepted')
  h.same(t.send(c, s, 'late words'), 'late words')
end

tests['rejected early data is sent again'] = function()
  local client = client_config()
  meet(client, server_config())
  local c, s = t.pair(client, server_config()) -- which does not know the session
  local n = c:writeearly('early words')
  h.same(n, 11)
  h.same(t.shake(c, s), nil)
  h.same(c:info().early, 'rejected')
  h.same(s:info().early, 'rejected')
  if c:info().early ~= 'accepted' then n = 0 end
  h.results('')(s:readearly(100))
  h.same(t.send(c, s, ('early words'):sub(n + 1)), 'early words')
end

tests['where no session permits early data it is an invalid operation'] = function()
  local options = { mode = 'tls-client', sessions = 1 }
  local plain, server, plain_server = ssl.newconfig(options), server_config(), ssl.newconfig('tls-server')
  meet(plain, server)
  local without = client_config()
  meet(without, plain_server)
  for _, case in ipairs { { client_config(), server }, { plain, server }, { without, plain_server } } do
    local c, s = t.pair(case[1], case[2])
    h.results(nil, 'invalid operation')(c:writeearly('early'))
    h.same(t.shake(c, s), nil)
    h.same(c:info().early, nil)
    h.same(s:info().early, nil)
    h.same(t.send(c, s, 'late'), 'late')
    h.results('')(s:readearly(100))
  end
end

tests['no more than the session permits'] = function()
  local c, s = pair()
  h.results(1000)(c:writeearly(('x'):rep(20000)))
  h.results(nil, 'invalid operation')(c:writeearly('x'))
  h.results(0)(c:writeearly(''))
  h.same(#s:readearly(16384), 1000)
  h.same(t.shake(c, s), nil)
end

tests['what readearly has not read, read returns, when the handshake is complete'] = function()
  for _, early in ipairs { '', 'ear' } do
    local c, s = pair()
    c:writeearly('early ')
    c:writeearly('words')
    if early ~= '' then h.results(early)(s:readearly(3)) end
    h.results(nil, 'want-read')(s:handshake())
    h.results(nil, 'want-read')(s:read(100))
    h.same(t.shake(c, s), nil)
    c:write(', late')
    h.same(s:read(0), '')
    h.same(early .. s:read(8 - #early) .. s:read(100), 'early words')
    h.results(', late')(s:read(100))
    h.results(nil, 'want-read')(s:read(100))
    h.results('')(s:readearly(100))
  end
end

tests['a replay never comes from read'] = function()
  local c, s, up = pair()
  c:writeearly('early words')
  local recorded = up.data
  up.data = recorded
  h.results(nil, 'want-read')(s:read(100))
  h.results('early words')(s:readearly(100))
  s:reset()
  up.data = recorded
  h.results(nil, 'want-read')(s:readearly(100))
  h.results(nil, 'want-read')(s:read(100))
end

tests['after want-write the record is already made, and sent once'] = function()
  local c, s, up = pair()
  up.piece = 0
  h.results(nil, 'want-write')(c:writeearly('first'))
  h.results(nil, 'want-write')(c:writeearly('first'))
  h.results(nil, 'want-write')(c:handshake())
  up.piece = 100
  h.results(nil, 'want-read')(c:handshake())
  h.results(5)(c:writeearly('whatever'))
  up.piece = 1e9
  h.results(6)(c:writeearly('second'))
  h.same(t.shake(c, s), nil)
  h.results('first')(s:read(5))
  h.results('second')(s:read(100))
end

tests['an answer that could not be sent goes before what readearly waits for'] = function()
  local c, s, up, down = pair()
  c:writeearly('early')
  h.results('early')(s:readearly(100))
  h.results(nil, 'want-read')(s:readearly(100))
  down.piece = 0
  h.results(nil, 'want-write')(s:writeearly('answer'))
  h.results(nil, 'want-write')(s:readearly(100))
  down.piece = 1e9
  h.results(nil, 'want-read')(s:readearly(100))
  h.results(6)(s:writeearly('answer'))
  h.results('answer')(c:read(100))
end

tests['a read or a handshake goes on where the other waits'] = function()
  local c, s, up = pair()
  c:writeearly('early words')
  local all, given = up.data, 0
  for i = 1, #all do -- byte by byte
    up.data = all:sub(i, i)
    local f = ({ s.handshake, s.readearly, s.read })[i % 3 + 1]
    local data, err = f(s, 100)
    if data then given = given + #data else h.same(err, 'want-read') end
  end
  if given == 0 then h.results('early words')(s:readearly(100)) end
  h.same(t.shake(c, s), nil)
  h.same(t.send(c, s, 'late words'), 'late words')
end

tests['a callback\'s exception leaves everything as it was'] = function()
  local c, s, up, down = pair()
  local sorry = {}
  local function raise() error(sorry, 0) end
  c:setbio(raise, raise)
  h.results(nil, sorry)(c:writeearly('early'))
  c:setbio(down.rcb, function() return 'x' end)
  h.results(nil, 'invalid write result')(c:writeearly('early'))
  c:setbio(down.rcb, up.wcb)
  h.results(5)(c:writeearly('early'))
  s:setbio(raise, raise)
  h.results(nil, sorry)(s:readearly(100))
  s:setbio(function(size) return ('x'):rep(size + 1) end, down.wcb)
  h.results(nil, 'invalid read result')(s:readearly(100))
  s:setbio(up.rcb, down.wcb)
  h.results('early')(s:readearly(100))
end

tests['inside a callback a context is busy'] = function()
  local c, s, up, down = pair()
  local function inside(stream, ctx)
    h.throws('context is busy', ctx.writeearly, ctx, 'x')
    h.throws(ctx == s and 'context is busy' or '', ctx.readearly, ctx, 1)
    return stream
  end
  c:setbio(down.rcb, function(data) return inside(up, c).wcb(data) end)
  s:setbio(function(size) return inside(up, s).rcb(size) end, down.wcb)
  h.results(5)(c:writeearly('early'))
  h.results('early')(s:readearly(100))
end

tests['a callback may yield'] = function()
  if not h.yields then h.skip 'no callback can' end
  local c, s, up, down = pair()
  local function slowly(f) return function(x) coroutine.yield('wait') return f(x) end end
  c:setbio(slowly(down.rcb), slowly(up.wcb))
  s:setbio(slowly(up.rcb), slowly(down.wcb))
  local function run(f, ...)
    local co = coroutine.create(f)
    local _, result, err = coroutine.resume(co, ...)
    while coroutine.status(co) ~= 'dead' do _, result, err = coroutine.resume(co) end
    return result, err
  end
  h.same(run(c.writeearly, c, 'early'), 5)
  h.same(run(s.readearly, s, 100), 'early')
  h.same(select(2, run(s.readearly, s, 100)), 'want-read')
end

tests['reset forgets what was not read, or not sent'] = function()
  local client, server = client_config(), server_config()
  meet(client, server)
  local c, s, up, down = t.pair(client, server)
  c:writeearly('unread')
  h.results(nil, 'want-read')(s:handshake())
  s:reset()
  c:reset()
  up.data, down.data = '', ''
  up.piece = 10
  local _, err = c:writeearly('unsent') -- maybe: the session has been used
  h.same(err, 'invalid operation')
  up.piece = 1e9
  h.same(t.shake(c, s), nil)
  h.results(nil, 'want-read')(s:read(100))
  h.same(t.send(s, c, 'after the ticket'), 'after the ticket')
  c:reset()
  s:reset()
  up.piece = 0
  h.results(nil, 'want-write')(c:writeearly('unsent'))
  c:reset()
  up.piece = 1e9
  h.same(t.shake(c, s), nil)
  h.results(nil, 'want-read')(s:read(100))
end

tests['close before the handshake is complete sends nothing'] = function()
  local c, s, up = pair()
  c:writeearly('early')
  local sent = #up.sent
  h.results(true)(c:close())
  h.same(#up.sent, sent)
  h.results('early')(s:readearly(100))
  h.same(t.shake(c, s), nil)
end

tests['which modes can read and write early data, and how much'] = function()
  for _, mode in ipairs { 'tls-client', 'tls-server', 'dtls-client', 'dtls-server' } do
    local ctx = ssl.newcontext(ssl.newconfig(mode), function() return '' end, function(data) return #data end)
    if mode == 'tls-server' then
      h.results(nil, 'want-read')(ctx:readearly(1))
      for _, bad in ipairs { 0, -1 } do h.throws('value out of range', ctx.readearly, ctx, bad) end
      h.throws('number expected', ctx.readearly, ctx)
    else
      h.throws('operation not supported', ctx.readearly, ctx, 1)
    end
    if mode == 'dtls-server' then
      h.throws('operation not supported', ctx.writeearly, ctx, 'x')
    else
      h.results(nil, 'invalid operation')(ctx:writeearly('x'))
      h.results(nil, 'invalid operation')(ctx:writeearly(7))
      h.throws('value out of range', ctx.writeearly, ctx, 'x', 3)
      h.throws('value out of range', ctx.writeearly, ctx, 'x', 1, 2)
      h.throws('string expected', ctx.writeearly, ctx)
    end
  end
end

-- The name of a file that is not there.
local function no_file()
  local name = os.tmpname()
  os.remove(name)
  return name
end

tests['a session in a file is the next program\'s'] = function()
  local name, server = no_file(), server_config()
  for i = 1, 3 do
    local client = client_config { session = name, hostname = 'localhost' }
    for j = 1, 2 do
      local c, s = t.pair(client, server)
      local first = i == 1 and j == 1
      h.same(c:writeearly('early'), not first and 5 or nil)
      h.same(t.shake(c, s), nil)
      h.same(c:info().resumed, not first)
      h.same(c:info().early, not first and 'accepted' or nil)
      h.same(t.send(s, c, 'after the ticket'), 'after the ticket')
    end
  end
  local file = assert(io.open(name, 'rb'))
  local content = file:read('*a')
  file:close()
  h.same(content:sub(1, 14), 'tls:localhost\n')

  -- The session of another server is let be.
  local other = client_config { session = name, hostname = 'example.com' }
  local c, s = t.pair(other, server)
  h.same(t.shake(c, s), nil)
  h.same(t.send(s, c, 'after the ticket'), 'after the ticket')
  h.same(c:info().resumed, false)
  file = assert(io.open(name, 'rb'))
  h.same(file:read('*a'), content)
  file:close()

  -- And a damaged one is an error.
  file = assert(io.open(name, 'wb'))
  file:write(content:sub(1, -2))
  file:close()
  h.throws("option 'session': " .. name .. ': ', ssl.newconfig, { mode = 'tls-client', session = name })
  h.throws('delete it, or give another file', ssl.newconfig, { mode = 'tls-client', session = name })
  os.remove(name)
  local nowhere = h.file('no/such/folder')
  h.throws("option 'session': " .. nowhere .. ': no file can be written there', ssl.newconfig, { mode = 'tls-client', session = nowhere })
end

tests['datagrams: a client has sessions in files too'] = function()
  local name, server = no_file(), ssl.newconfig 'dtls-server'
  for i = 1, 2 do
    local client = ssl.newconfig { mode = 'dtls-client', session = name, earlydata = true }
    local c, s = t.pair(client, server, t.datagrams)
    h.results(nil, 'invalid operation')(c:writeearly('early'))
    local done, err
    for _ = 1, 20 do
      c:handshake()
      s:setpeerid('client')
      s:handshake()
    end
    h.same(c:info().complete and s:info().complete, true)
    h.same(c:info().resumed, i == 2)
    s:write('after the ticket')
    h.results('after the ticket')(c:read(100))
    done, err = c:writeearly('late')
    h.same(done, nil)
    h.same(err, 'invalid operation')
  end
  os.remove(name)
end

h.run(tests)
