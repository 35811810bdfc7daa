-- What callbacks see, and what they may return.
local h, t = require 'harness', require 'transport'
local ssl = require 'mbedtls.ssl'

local tests = {}

local operations = {
  handshake = function(c) return c:handshake() end,
  read = function(c) return c:read(10) end,
  write = function(c) return c:write('data') end,
  close = function(c) return c:close() end,
}

tests['nothing is called before the first operation'] = function()
  local function never() error('called') end
  local c = ssl.newcontext(ssl.newconfig('tls-client'), never, never)
  c:setbio(never, never, 1)
  c:gettimeout()
  c:reset()
  h.results(true)(c:close())
end

tests['rcb is asked for exactly what the record lacks'] = function()
  for _, piece in ipairs { math.huge, 1, 3, 7 } do
    local c, s, up, down = t.pair()
    up.piece, down.piece = piece, piece
    -- follow the records of each direction
    for _, stream in ipairs { up, down } do
      local rcb, lacks, header = stream.rcb, 5, ''
      function stream.check(size)
        h.same(size, lacks, 'size')
        local data = rcb(size)
        lacks = lacks - #data
        if header then
          header = header .. data
          if #header == 5 then
            lacks = header:byte(4) * 256 + header:byte(5)
            header = nil
          end
        elseif lacks == 0 then
          lacks, header = 5, ''
        end
        return data
      end
    end
    c:setbio(down.check, up.wcb)
    s:setbio(up.check, down.wcb)
    h.same(t.shake(c, s), nil)
    -- few: gopher-lua keeps a whole string alive for each byte cut out of it
    for _, size in ipairs(piece < 10 and { 1, 5, 1000 } or { 1, 5, 100, 16384, 40000 }) do
      h.same(t.send(c, s, ('x'):rep(size)), ('x'):rep(size))
      h.same(t.send(s, c, ('y'):rep(size)), ('y'):rep(size))
    end
  end
end

tests['a write between the header of a record and the rest changes no size'] = function()
  local c, s, up, down = t.established()
  h.results(nil, 'want-read')(c:read(9))
  s:write('data')
  local rest = #down.data - 5
  local asked = {}
  c:setbio(function(size)
    asked[#asked + 1] = size
    return #asked == 2 and '' or down.rcb(size)
  end, up.wcb)
  h.results(nil, 'want-read')(c:read(9))
  h.results(1)(c:write('x'))
  h.results('data')(c:read(9))
  h.same(table.concat(asked, ' '), ('5 %d %d'):format(rest, rest))
end

tests['an operation between the pieces of a header loses none'] = function()
  for have = 1, 4 do
    for _, operation in ipairs { 'write', 'refused', 'handshake', 'close' } do
      local c, s, up, down = t.established()
      s:read(1)
      c:write 'hello'
      local rest = up.data:sub(have + 1)
      up.data = up.data:sub(1, have)
      h.results(nil, 'want-read')(s:read(100))
      if operation == 'refused' then
        down.piece = 0
        h.results(nil, 'want-write')(s:write 'answer')
        h.results(nil, 'want-read')(s:read(100))
        down.piece = math.huge
      else
        assert(s[operation](s, operation == 'write' and 'answer' or nil))
      end
      up.data = rest
      h.results('hello')(s:read(100))
    end
  end
end

tests['sizes are integers'] = function()
  local c = ssl.newcontext(ssl.newconfig('tls-client'), function(size)
    h.same(tostring(size), '5')
    return ''
  end, function(data) return #data end)
  h.results(nil, 'want-read')(c:handshake())
end

tests['ref is the first argument, unless it is nil'] = function()
  for _, ref in ipairs { 'text', 0, false, {} } do
    local seen
    local c = ssl.newcontext(ssl.newconfig('tls-client'), function(...)
      h.same(select('#', ...), 2)
      seen = ...
      return ''
    end, function(...)
      h.same(select('#', ...), 2)
      h.same((...), ref)
      return #select(2, ...)
    end, ref)
    h.results(nil, 'want-read')(c:handshake())
    h.same(seen, ref)
    c:setbio(function(...)
      h.same(select('#', ...), 1)
      return ''
    end, function() return 0 end)
    h.results(nil, 'want-read')(c:handshake())
  end
end

tests['data are never empty, and what was not taken comes again'] = function()
  local c, s, up = t.pair()
  local want, calls = nil, 0
  c:setbio(function() return '' end, function(data)
    calls = calls + 1
    h.same(#data > 0, true)
    if want then h.same(data, want) end
    local n = math.min(calls % 3, #data)
    want = data:sub(n + 1)
    if want == '' then want = nil end
    up.wcb(data:sub(1, n))
    return n
  end)
  local ok, err
  repeat ok, err = c:handshake() until err ~= 'want-write'
  h.same(err, 'want-read')
  h.same(calls > 20, true)
  h.results(nil, 'want-read')(s:handshake())
  h.same(up.data, '', 'what the server left')
end

-- Each state in which each operation may call back, as a function that makes it.
local function states()
  return {
    { 'handshake', function()
      local c, s, up, down = t.pair()
      return c, up, down, function() return t.shake(c, s) end
    end },
    { 'read', function()
      local c, s, up, down = t.established()
      c:read(1)
      return c, up, down, function()
        s:write('data')
        h.results('data')(c:read(9))
      end
    end },
    { 'write', function()
      local c, s, up, down = t.established()
      return c, up, down, function()
        h.results(4)(c:write('data'))
        h.results('data')(s:read(9))
        h.results(nil, 'want-read')(s:read(9))
      end
    end },
    { 'close', function()
      local c, s, up, down = t.established()
      return c, up, down, function()
        h.results(true)(c:close())
        h.results(nil, 'closed')(s:read(9))
      end
    end },
  }
end

tests['bad read results harm nothing'] = function()
  for _, state in ipairs(states()) do
    local c, up, down, go_on = state[2]()
    local bads = { function() end, function() return nil end, function() return {} end, function() return true end,
      function(size) return ('x'):rep(size + 1) end, function() return print end }
    for _, rcb in ipairs(bads) do
      c:setbio(rcb, up.wcb)
      if state[1] == 'handshake' or state[1] == 'read' then
        h.results(nil, 'invalid read result')(operations[state[1]](c))
      end
    end
    c:setbio(down.rcb, up.wcb)
    h.same(go_on(), nil)
  end
end

tests['bad write results harm nothing'] = function()
  for _, state in ipairs(states()) do
    local c, up, down, go_on = state[2]()
    if state[1] ~= 'read' then
      for _, bad in ipairs { 2.5, -1, 0 / 0, 1 / 0, -1 / 0, 'x', '', true, {}, print, '2.5', '-1', 99999999, -0.5, false } do
        c:setbio(down.rcb, function() return bad end)
        h.results(nil, 'invalid write result')(operations[state[1]](c))
      end
      c:setbio(down.rcb, function() end)
      h.results(nil, 'invalid write result')(operations[state[1]](c))
    end
    c:setbio(down.rcb, up.wcb)
    h.same(go_on(), nil)
  end
end

tests['further results are ignored'] = function()
  local c, s, up, down = t.pair()
  c:setbio(function(size) return down.rcb(size), 'more', {} end, function(data) return up.wcb(data), error, nil end)
  h.same(t.shake(c, s), nil)
  h.same(t.send(c, s, 'data'), 'data')
  h.same(t.send(s, c, 'data'), 'data')
end

tests['numbers as strings and whole floats count'] = function()
  local c, s, up, down = t.pair()
  local turn = 0
  c:setbio(down.rcb, function(data)
    turn = turn + 1
    local n = math.min(#data, 2)
    up.wcb(data:sub(1, n))
    if turn % 2 == 0 then return tostring(n) end
    return n + 0.0
  end)
  h.same(t.shake(c, s), nil)
  -- a number is its text, here the header of a record that is none
  c = ssl.newcontext(ssl.newconfig('tls-client'), function() return 12345 end, function(data) return #data end)
  h.fails(c:handshake())
end

tests['a callback\'s exception is the very value, and harms nothing'] = function()
  for _, state in ipairs(states()) do
    local c, up, down, go_on = state[2]()
    local values = { { 'a table' }, 'want-read', 12, false, true, print }
    for i = 1, #values + 1 do
      local value = values[i]
      local function raise() error(value, 0) end
      c:setbio(raise, state[1] == 'read' and up.wcb or raise)
      h.results(nil, value)(operations[state[1]](c))
    end
    c:setbio(function() local x = nil; return x.y end, state[1] == 'read' and up.wcb or function() return nil + 1 end)
    local result, err = operations[state[1]](c)
    h.same(result, nil)
    h.same(type(err), 'string')
    c:setbio(down.rcb, up.wcb)
    h.same(go_on(), nil)
  end
end

tests['a callback that overflows the stack'] = function()
  local function deep(n) return 1 + deep(n) end
  local c, s, up, down = t.pair()
  c:setbio(down.rcb, deep)
  local result, err = c:handshake()
  h.same(result, nil)
  assert(tostring(err):find('stack overflow'), err)
  c:setbio(down.rcb, up.wcb)
  h.same(t.shake(c, s), nil)
end

tests['an exception in the middle of a record loses nothing'] = function()
  local c, s, up, down = t.established()
  s:write('first')
  s:write('second')
  local calls = 0
  c:setbio(function(size)
    calls = calls + 1
    if calls % 2 == 0 then error('now', 0) end
    return down.rcb(math.min(size, 3))
  end, up.wcb)
  local parts, failures = {}, 0
  repeat
    local data, err = c:read(100)
    if data then parts[#parts + 1] = data end
    if err == 'now' then failures = failures + 1 end
  until err == 'want-read'
  h.same(table.concat(parts, ' '), 'first second')
  h.same(failures > 5, true)
end

tests['inside a callback the context is busy'] = function()
  local methods = { 'handshake', 'read', 'write', 'close', 'closenotify', 'reset', 'setbio', 'gettimeout', 'info',
    'export', 'sethostname', 'setpeerid' }
  for _, state in ipairs(states()) do
    local c, up, down, go_on = state[2]()
    for _, name in ipairs(methods) do
      local function callback() return c[name](c, 'x', 1, 1) end
      c:setbio(callback, state[1] == 'read' and up.wcb or callback)
      local result, err = operations[state[1]](c)
      h.same(result, nil)
      assert(tostring(err):find('context is busy'), err)
    end
    -- and catching that is fine
    c:setbio(function(size)
      h.throws('context is busy', c.read, c, 1)
      return down.rcb(size)
    end, function(data)
      h.throws('context is busy', c.write, c, 'x')
      return up.wcb(data)
    end)
    h.same(go_on(), nil)
  end
end

tests['other contexts are not: TLS in TLS'] = function()
  local outer_c, outer_s = t.established()
  local function over(ctx)
    return function(size)
      local data, err = ctx:read(size)
      if data then return data end
      if t.waits(err) then return '' end
      error(err, 0)
    end, function(data)
      local n, err = ctx:write(data)
      if n then return n end
      if t.waits(err) then return 0 end
      error(err, 0)
    end
  end
  local crcb, cwcb = over(outer_c)
  local srcb, swcb = over(outer_s)
  local c = ssl.newcontext(ssl.newconfig('tls-client'), crcb, cwcb)
  local s = ssl.newcontext(ssl.newconfig('tls-server'), srcb, swcb)
  h.same(t.shake(c, s), nil)
  h.same(t.send(c, s, ('inner'):rep(10000)), ('inner'):rep(10000))
  c:close()
  h.results(nil, 'closed')(s:read(1))
  h.same(t.send(outer_c, outer_s, 'outer'), 'outer')
end

tests['setbio in the middle of everything'] = function()
  local c, s, up, down = t.pair()
  up.piece, down.piece = 1, 1
  local function renew()
    c:setbio(function(_, size) return down.rcb(size) end, function(_, data) return up.wcb(data) end, {})
  end
  local done
  for _ = 1, 100000 do
    renew()
    local a = c:handshake()
    local b = s:handshake()
    done = a and b
    if done then break end
  end
  h.same(done, true)
  s:write('x')
  h.same(t.send(s, c, 'more'):sub(-4), 'more')
end

tests['operations in coroutines'] = function()
  local c, s = t.pair()
  local function loop(ctx)
    return coroutine.wrap(function()
      while true do
        local ok, err = ctx:handshake()
        if ok then break end
        coroutine.yield(err)
      end
      return true
    end)
  end
  local a, b = loop(c), loop(s)
  h.same(a(), 'want-read')
  local client, server
  for _ = 1, 10 do
    server = server == true or b()
    client = client == true or a()
  end
  h.same(client, true)
  h.same(server, true)
  coroutine.wrap(function() c:write('x') end)()
  h.results('x')(coroutine.wrap(function() return s:read(1) end)())
end

tests['a callback that yields'] = function()
  local c, s, up, down = t.pair()
  local function yielding(stream)
    return function(size)
      while stream.data == '' do coroutine.yield('read') end
      return stream.rcb(math.min(size, 100))
    end, function(data)
      coroutine.yield('write')
      return #data
    end
  end
  local crcb = yielding(down)
  c:setbio(crcb, function(data)
    coroutine.yield('write')
    return up.wcb(data:sub(1, 50))
  end)
  local srcb = yielding(up)
  s:setbio(srcb, function(data)
    coroutine.yield('write')
    return down.wcb(data:sub(1, 50))
  end)
  if not h.yields then -- it cannot, and says so
    local co = coroutine.create(function() return c:handshake() end)
    local ok, result, err = coroutine.resume(co)
    h.same(ok, true)
    h.same(result, nil)
    assert(tostring(err):find('yield'), err)
    c:setbio(down.rcb, up.wcb)
    s:setbio(up.rcb, down.wcb)
    return h.same(t.shake(c, s), nil)
  end
  local client = coroutine.create(function()
    assert(c:handshake())
    assert(c:write('from the client') == 15)
    local data = assert(c:read(100))
    assert(c:close())
    return data
  end)
  local server = coroutine.create(function()
    local data = assert(s:read(100))
    assert(s:write('got ' .. data))
    return s:read(100)
  end)
  local client_says, server_says, why
  for _ = 1, 10000 do
    if coroutine.status(client) == 'suspended' then
      local ok, data = coroutine.resume(client)
      assert(ok, data)
      if coroutine.status(client) == 'dead' then client_says = data
      else h.throws('context is busy', c.read, c, 1) end
    end
    if coroutine.status(server) == 'suspended' then
      local ok, data, err = coroutine.resume(server)
      assert(ok, data)
      if coroutine.status(server) == 'dead' then server_says, why = data, err end
    end
  end
  h.same(client_says, 'got from the client')
  h.same(server_says, nil)
  h.same(why, 'closed')
end

tests['yielding through TLS in TLS'] = function()
  if not h.yields then h.skip('callbacks cannot yield here') end
  local outer_c, outer_s, up, down = t.established()
  local yields = 0
  outer_c:setbio(function(size)
    while down.data == '' do
      yields = yields + 1
      coroutine.yield()
    end
    return down.rcb(size)
  end, up.wcb)
  local function over(ctx)
    return function(size)
      local data, err = ctx:read(size)
      return data or t.waits(err) and '' or error(err, 0)
    end, function(data) return (assert(ctx:write(data))) end
  end
  local c = ssl.newcontext(ssl.newconfig('tls-client'), over(outer_c))
  local s = ssl.newcontext(ssl.newconfig('tls-server'), over(outer_s))
  local client = coroutine.wrap(function()
    assert(c:handshake())
    assert(c:write('inner'))
    return c:read(100)
  end)
  local got
  for _ = 1, 100 do
    got = client()
    if got then break end
    if s:read(100) == 'inner' then s:write('answer') end
  end
  h.same(got, 'answer')
  h.same(yields > 1, true)
end

tests['an error after a yield'] = function()
  if not h.yields then h.skip('callbacks cannot yield here') end
  local c, s, up, down = t.pair()
  c:setbio(down.rcb, function()
    coroutine.yield()
    error({ 'late' })
  end)
  local co = coroutine.wrap(function() return c:handshake() end)
  co()
  local result, err = co()
  h.same(result, nil)
  h.same(err[1], 'late')
  c:setbio(down.rcb, up.wcb)
  h.same(t.shake(c, s), nil)
end

h.run(tests)
