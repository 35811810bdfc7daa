-- Handshakes, and connections that stay open, do not make the process grow:
--   lua growth.lua HANDSHAKES CONNECTIONS
local socket, ssl, t = require 'socket', require 'mbedtls.ssl', require 'transport'

local handshakes, connections = tonumber(arg[1]), tonumber(arg[2])

-- What the process has in memory, in KB.
local function resident()
  for _ = 1, 3 do collectgarbage() end
  for line in io.lines('/proc/self/status') do
    local kb = line:match('^VmRSS:%s*(%d+)')
    if kb then return tonumber(kb) end
  end
  error('no VmRSS')
end

-- Calls f many times: the second half must leave the memory as the first has made it, with room
-- for the moods of two collectors.
local function steady(what, times, slack, f)
  for _ = 1, times / 2 do f() end
  local before = resident()
  for _ = 1, times / 2 do f() end
  local after = resident()
  print(('%s: %d times, %d KB after half of them, %d KB at the end'):format(what, times, before, after))
  if after > before + slack then error(what .. ': it grows') end
end

local client, server = ssl.newconfig { mode = 'tls-client', sessions = 10 }, ssl.newconfig('tls-server')
local kinds = {
  function() t.established(client, server) end, -- resumed, after the first
  function() t.established() end,
  function() -- given up in the middle
    local c, s = t.pair(client, server)
    c:handshake()
    s:handshake()
  end,
  function() -- without callbacks
    local c, s = ssl.newengine(client), ssl.newengine(server)
    for _ = 1, 3 do
      c:handshake()
      s:feed(c:drain())
      s:handshake()
      c:feed(s:drain())
    end
    assert(c:handshake() and s:handshake())
  end,
  function() -- that fails
    local c, s, up = t.pair(client, server)
    c:handshake()
    up.data = 'GET / HTTP/1.1\r\n\r\n'
    assert(not s:handshake())
  end,
}
local n = 0
steady('handshakes', handshakes, 16384, function()
  n = n + 1
  kinds[n % #kinds + 1]()
end)

-- Sockets that do not block.
local function rcb(sock, size)
  local data, err, part = sock:receive(size)
  if data then return data end
  if err == 'timeout' then return part end
  error('socket: ' .. err, 0)
end
local function wcb(sock, data)
  local last, err, sent = sock:send(data)
  if last then return last end
  if err == 'timeout' then return sent end
  error('socket: ' .. err, 0)
end

local listener = assert(socket.bind('127.0.0.1', 0, 1024))
local _, port = listener:getsockname()
local pairs_of = {}
for i = 1, connections do
  local a = assert(socket.connect('127.0.0.1', port))
  local b = assert(listener:accept())
  a:settimeout(0)
  b:settimeout(0)
  pairs_of[i] = { ssl.newcontext(client, rcb, wcb, a), ssl.newcontext(server, rcb, wcb, b) }
end
local function finish(what, ...)
  for _ = 1, 1000000 do
    local waiting = false
    for _, ctx in ipairs { ... } do
      local ok, err = what(ctx)
      if not ok then
        assert(err == 'want-read' or err == 'want-write', err)
        waiting = true
      end
    end
    if not waiting then return end
  end
  error('it never ends')
end
for _, p in ipairs(pairs_of) do finish(function(ctx) return ctx:handshake() end, p[1], p[2]) end

local text = ('0123456789'):rep(100)
steady(2 * connections .. ' open sockets', 20, 8192, function()
  for _, p in ipairs(pairs_of) do
    finish(function(ctx) return ctx:write(text) end, p[1])
    finish(function(ctx) return ctx:read(16384) end, p[2])
    finish(function(ctx) return ctx:write(text) end, p[2])
    finish(function(ctx) return ctx:read(16384) end, p[1])
  end
end)
