-- Handles: what Lua can do to them, and their life.
local h, t = require 'harness', require 'transport'
local ssl = require 'mbedtls.ssl'

local tests = {}

tests['handles show nothing and cannot be changed'] = function()
  local cfg = ssl.newconfig('tls-client')
  local ctx = ssl.newcontext(cfg, print, print)
  for handle, kind in pairs { [cfg] = 'config', [ctx] = 'context' } do
    h.same(type(handle), 'userdata')
    h.same(getmetatable(handle), false)
    h.same(handle.unknown, nil)
    h.same(handle.__gc, nil)
    h.same(handle[1], nil)
    h.throws('', function() handle.x = 1 end)
    h.throws('', setmetatable, handle, {})
    h.throws('', function() return handle() end)
    h.throws('', function() return handle + 1 end)
    assert(tostring(handle):find('^mbedtls%.ssl%.' .. kind .. ': 0x%x+'), tostring(handle))
  end
  h.same(ctx == ssl.newcontext(cfg, print, print), false)
end

-- Collects until nothing is left of what made() returns.
local function is_collected(make)
  local weak = setmetatable({}, { __mode = 'k' })
  for _ = 1, 10 do weak[make()] = true end
  for _ = 1, 5 do collectgarbage() end
  return next(weak) == nil
end

tests['contexts are collected, through cycles too'] = function()
  if h.gopher then h.skip('weak tables are not cleared here') end
  local cfg = ssl.newconfig('tls-client')
  assert(is_collected(function() return ssl.newconfig('tls-server') end))
  assert(is_collected(function() return (ssl.newcontext(cfg, print, print)) end))
  assert(is_collected(function()
    local ctx
    ctx = ssl.newcontext(cfg, function() return ctx end, function() return ctx end)
    return ctx
  end))
  assert(is_collected(function()
    local ref = {}
    local ctx = ssl.newcontext(cfg, print, print, ref)
    ref.ctx = ctx
    ctx:setbio(print, print, ref)
    return ctx
  end))
  assert(is_collected(function()
    local c, s = t.established()
    c:write('unread')
    return c
  end))
end

tests['callbacks and ref live as long as the context'] = function()
  local weak = setmetatable({}, { __mode = 'v' })
  local function make()
    local ref = { n = 0 }
    weak.ref = ref
    return ssl.newcontext(ssl.newconfig('tls-client'), function(r)
      r.n = r.n + 1
      return ''
    end, function(r, data) return #data end, ref)
  end
  local ctx = make()
  collectgarbage()
  collectgarbage()
  h.results(nil, 'want-read')(ctx:handshake())
  h.same(weak.ref.n, 1)
end

tests['a context keeps its configuration alive'] = function()
  local up, down = t.stream(), t.stream()
  local c = ssl.newcontext(ssl.newconfig('tls-client', h.file('ca.pem')), down.rcb, up.wcb)
  local s = ssl.newcontext(ssl.newconfig('tls-server', nil, h.file('server.pem')), up.rcb, down.wcb)
  for _ = 1, 5 do collectgarbage() end
  h.same(t.shake(c, s), nil)
end

tests['collection while a callback runs'] = function()
  local c, s, up, down = t.pair()
  c:setbio(function(size)
    collectgarbage()
    return down.rcb(size)
  end, function(data)
    collectgarbage()
    return up.wcb(data)
  end)
  h.same(t.shake(c, s), nil)
end

-- An object whose finalizer calls f.
local function doomed(f)
  if not newproxy then return setmetatable({}, { __gc = f }) end
  local proxy = newproxy(true)
  getmetatable(proxy).__gc = f
  return proxy
end

tests['a finalizer that uses the context in the middle of an operation'] = function()
  if h.gopher then h.skip('there are no finalizers') end
  local ends, finalized, callbacks = {}, 0, 0
  local function finalize()
    if callbacks > 0 then return end -- the transport is no place to be called in twice
    finalized = finalized + 1
    for _, ctx in ipairs(ends) do
      pcall(ctx.handshake, ctx)
      pcall(ctx.read, ctx, 0)
      pcall(ctx.gettimeout, ctx)
    end
  end
  local function dooming(callback)
    return function(...)
      callbacks = callbacks + 1
      doomed(finalize)
      local result = callback(...)
      callbacks = callbacks - 1
      return tonumber(result) or result -- a number becomes a string in the operation
    end
  end
  local c, s, up, down = t.pair()
  up.piece, down.piece = 700, 700
  c:setbio(dooming(down.rcb), dooming(up.wcb))
  s:setbio(dooming(up.rcb), dooming(down.wcb))
  ends[1], ends[2] = c, s
  local pause = collectgarbage('setpause', 1)
  local stepmul = collectgarbage('setstepmul', 10000)
  local err = t.shake(c, s)
  local data = ('0123456789abcdef'):rep(3000)
  local there = not err and t.send(c, s, data)
  local back = not err and t.send(s, c, data)
  collectgarbage('setpause', pause)
  collectgarbage('setstepmul', stepmul)
  h.same(err, nil)
  h.same(there, data)
  h.same(back, data)
  if h.version > 5.1 then h.same(finalized > 10, true, finalized) end
end

tests['a finalizer that stays in a callback when a write begins'] = function()
  if not h.yields then h.skip('callbacks cannot yield here') end
  local pause = collectgarbage('setpause', 1)
  local stepmul = collectgarbage('setstepmul', 10000)
  for _ = 1, 50 do
    local c, s = t.established()
    local reader
    c:setbio(function()
      coroutine.yield()
      return 5
    end, function() return 0 end)
    doomed(function()
      if reader then return end
      reader = coroutine.create(function() return c:read(10) end)
      coroutine.resume(reader)
    end)
    for i = 1, 30 do
      pcall(c.write, c, 1000000 + i) -- a number becomes a string
      if reader then break end
    end
    reader = reader or coroutine.create(error)
    coroutine.resume(reader)
  end
  collectgarbage('setpause', pause)
  collectgarbage('setstepmul', stepmul)
end

tests['a finalizer that stays in a callback when rcb has returned a number'] = function()
  if not h.yields then h.skip('callbacks cannot yield here') end
  local cfg = ssl.newconfig('tls-client')
  local pause = collectgarbage('setpause', 1)
  local stepmul = collectgarbage('setstepmul', 10000)
  for round = 1, 50 do
    local c, writer
    local asks, sent = 0, 0
    c = ssl.newcontext(cfg, function(size)
      asks = asks + 1
      if writer then return ('x'):rep(size) end
      if asks == 1 then return '\22\3\3\0\5' end
      doomed(function()
        if writer then return end
        writer = coroutine.create(function() return c:write('data') end)
        coroutine.resume(writer)
      end)
      return 10000 + round
    end, function(data)
      sent = sent + 1
      if sent > 1 then coroutine.yield() end -- with the alert
      return #data
    end)
    h.same(c:handshake(), nil)
    if writer then coroutine.resume(writer) end
  end
  collectgarbage('setpause', pause)
  collectgarbage('setstepmul', stepmul)
end

tests['one configuration, many contexts'] = function()
  local client, server = ssl.newconfig('tls-client'), ssl.newconfig('tls-server')
  local pairs_of = {}
  for i = 1, 50 do pairs_of[i] = { t.pair(client, server) } end
  for i = 1, 50 do h.same(t.shake(pairs_of[i][1], pairs_of[i][2]), nil) end
  for i = 1, 50 do h.same(t.send(pairs_of[i][1], pairs_of[i][2], 'hello ' .. i), 'hello ' .. i) end
end

tests['a closed variable'] = function()
  if h.version < 5.4 or h.gopher then h.skip('Lua 5.4 has them') end
  local kept
  local chunk = [[
    local ssl = require 'mbedtls.ssl'
    local cfg <close> = ssl.newconfig('tls-client')
    local ctx <close> = ssl.newcontext(cfg, function() return '' end, function(data) return #data end)
    ctx:handshake()
    return ctx, cfg]]
  local ctx, cfg = assert(load(chunk))()
  h.throws('context is closed', ctx.handshake, ctx)
  h.throws('context is closed', ctx.read, ctx, 1)
  h.throws('config is closed', ssl.newcontext, cfg, print, print)
  tostring(ctx)
end

tests['a coroutine that is left in a callback'] = function()
  if not h.yields then h.skip('callbacks cannot yield here') end
  local cfg = ssl.newconfig('tls-client')
  local function handshake(ctx) return coroutine.resume(coroutine.create(ctx.handshake), ctx) end
  local ctx = ssl.newcontext(cfg, print, coroutine.yield)
  h.same(handshake(ctx), true)
  collectgarbage()
  h.throws('context is busy', ctx.reset, ctx)
  assert(is_collected(function()
    local left = ssl.newcontext(cfg, print, coroutine.yield)
    handshake(left)
    return left
  end))
end

tests['a closed coroutine closes its variables'] = function()
  if h.version < 5.4 or h.gopher then h.skip('Lua 5.4 has them') end
  local chunk = [[
    local ctx <close> = ...
    ctx:handshake()]]
  local ctx = ssl.newcontext(ssl.newconfig('tls-client'), print, coroutine.yield)
  local co = coroutine.create(load(chunk))
  h.same(coroutine.resume(co, ctx), true)
  h.results(true)(coroutine.close(co))
  h.throws('context is closed', ctx.handshake, ctx)
end

tests['require'] = function()
  local all = require 'mbedtls'
  h.same(all.ssl, ssl)
  h.same(all.md, require 'mbedtls.md')
  h.same(all.base64, require 'mbedtls.base64')
  h.same(all._NAME, 'mbedtls')
  h.same(ssl.version:match('^hermetic %d+%.%d+%.%d+') ~= nil, true, ssl.version)
  h.same(all._VERSION, ssl.version)
  if h.version == 5.1 then
    h.same(rawget(_G, 'mbedtls').ssl, ssl)
  else
    h.same(rawget(_G, 'mbedtls'), nil)
  end
end

tests['a collected handle cannot be used'] = function()
  if not debug or not debug.getmetatable or h.gopher then h.skip('no debug library') end
  local cfg = ssl.newconfig('tls-client')
  local ctx = ssl.newcontext(cfg, print, print)
  local gc = debug.getmetatable(ctx).__gc
  h.throws('', gc, {})
  h.throws('', gc, cfg)
  gc(ctx)
  gc(ctx)
  h.throws('context is closed', ctx.handshake, ctx)
  debug.getmetatable(cfg).__gc(cfg)
  h.throws('config is closed', ssl.newcontext, cfg, print, print)
  -- even inside a callback
  ctx = ssl.newcontext(ssl.newconfig('tls-client'), function() return '' end, function(data)
    gc(ctx)
    return #data
  end)
  h.results(nil, 'context is closed')(ctx:handshake())
end

h.run(tests)
