-- Random calls with random arguments: whatever happens, the process lives, and
-- a new session works.
--
--   lua nonsense.lua SEED SECONDS [dtls]
local t = require 'transport'
local ssl, md, base64 = require 'mbedtls.ssl', require 'mbedtls.md', require 'mbedtls.base64'

local seed, seconds, dtls = tonumber(arg[1]), tonumber(arg[2]), arg[3] == 'dtls'

-- The same numbers on every Lua: Park and Miller's generator.
local state = seed % 2147483646 + 1
local function random(n)
  state = state * 16807 % 2147483647
  return state % n + 1
end
local function one_of(list) return list[random(#list)] end

local contexts, configs, transports = {}, {}, {}

local modes = dtls and { 'tls-client', 'tls-server', 'dtls-client', 'dtls-server' } or { 'tls-client', 'tls-server' }

local function bytes()
  return one_of { '', 'x', '\0', ('\255'):rep(random(100)), ('a'):rep(random(20000)), ('z'):rep(16384), ('y'):rep(16385),
    '\22\3\1\0\5', '\23\3\3\0\1', 'GET / HTTP/1.0', '-----BEGIN CERTIFICATE-----\n', 'AAAA', 'MD5', 'SHA256', '12', '0x10' }
end

local values
values = {
  function() return nil end,
  function() return random(2) == 1 end,
  function() return random(40000) - 100 end,
  function() return one_of { 0, -1, 1.5, 2 ^ 31, 2 ^ 53, -2 ^ 63, 1e300, 0 / 0, 1 / 0, -1 / 0, 16384, 16385 } end,
  bytes,
  function() return {} end,
  function() return function(...) return ... end end,
  function() return one_of { math.abs, io.stdout, coroutine.create(math.abs), math } end,
  function() return contexts[random(#contexts)] end,
  function() return configs[random(#configs)] end,
  function() return setmetatable({}, { __call = function() return 'called' end, __tostring = function() return 'x' end }) end,
}
local function value() return one_of(values)() end

local methods = { 'handshake', 'read', 'write', 'close', 'closenotify', 'reset', 'setbio', 'setpeerid', 'sethostname',
  'gettimeout', 'info', 'export', 'readearly', 'writeearly', 'feed', 'drain', 'want', 'pending', 'peerchain', 'verifypeer',
  'getsession', 'setsession', 'unknown' }

local depth, call = 0

-- Leaves an object whose finalizer makes a call, at any time; a callback may leave
-- it hanging.
local function doom()
  local function finalize()
    if depth < 3 then coroutine.resume(coroutine.create(call)) end
  end
  if not newproxy then
    setmetatable({}, { __gc = finalize })
  else
    local meta = getmetatable(newproxy(true))
    if meta then meta.__gc = finalize end
  end
end

-- What a callback may do besides what it should.
local function mischief()
  local n = random(60)
  if n == 1 then error(value(), 0) end
  if n == 2 then collectgarbage() end
  if n == 3 and depth < 3 then call() end
  if n == 4 then return true, value() end
  if n == 5 then coroutine.yield(value()) end
  if n == 6 then doom() end
end

local function callbacks(stream, other)
  return function(...)
    depth = depth + 1
    local ok, odd, result = pcall(mischief)
    depth = depth - 1
    if not ok then error(odd, 0) end
    if odd then return result end
    local size = select(select('#', ...), ...)
    local data = stream.rcb(size)
    if #data > 0 and random(300) == 1 then data = ('?'):rep(#data) end
    return data
  end, function(...)
    depth = depth + 1
    local ok, odd, result = pcall(mischief)
    depth = depth - 1
    if not ok then error(odd, 0) end
    if odd then return result end
    other.piece = random(10) == 1 and random(3) - 1 or 1e9
    return other.wcb((select(select('#', ...), ...)))
  end
end

-- They have sessions with each other, and early data goes with them.
local early_client = ssl.newconfig { mode = 'tls-client', sessions = 1, earlydata = true }
local early_server = ssl.newconfig { mode = 'tls-server', earlydata = 50000 }

-- Functions of a configuration, with the manners of callbacks.
local function hostile(result)
  return function(...)
    depth = depth + 1
    local ok, odd, value = pcall(mischief)
    depth = depth - 1
    if not ok then error(odd, 0) end
    if odd then return value end
    if random(5) == 1 then return nil end
    return result(...)
  end
end
local asking_server
asking_server = ssl.newconfig { mode = 'tls-server', verify = hostile(function() return random(20) > 1 end),
  servername = hostile(function() return one_of { true, asking_server, configs[random(10)] } end),
  alpn = hostile(function(hello) return one_of { hello.alpn[1], false, 'x' } end) }
local asking_client = ssl.newconfig { mode = 'tls-client', alpn = { 'a', 'b' }, sessions = true, readahead = true,
  verify = hostile(function(info) return info.peer ~= nil end) }

-- Engines without callbacks.
local function new_engines()
  local i = random(9)
  contexts[i], contexts[i + 1] = ssl.newengine(asking_client), ssl.newengine(asking_server)
  transports[i], transports[i + 1] = nil, nil
end

local function new_pair()
  if random(4) == 1 then return new_engines() end
  local datagrams = dtls and random(2) == 1
  local kind, make = datagrams and 'dtls' or 'tls', datagrams and t.datagrams or t.stream
  local up, down = make(), make()
  local c, s = ssl.newconfig(kind .. '-client'), ssl.newconfig(kind .. '-server')
  if not datagrams then
    local n = random(3)
    if n == 1 then c, s = early_client, early_server end
    if n == 2 then c, s = asking_client, asking_server end
  end
  local crcb, cwcb = callbacks(down, up)
  local srcb, swcb = callbacks(up, down)
  configs[random(10)] = c
  configs[random(10)] = s
  local i = random(9)
  contexts[i] = ssl.newcontext(c, crcb, cwcb, random(2) == 1 and value() or nil)
  contexts[i + 1] = ssl.newcontext(s, srcb, swcb, random(2) == 1 and value() or nil)
  transports[i], transports[i + 1] = { crcb, cwcb }, { srcb, swcb }
end
for i = 1, 10 do contexts[i], configs[i] = false, false end

-- One call: mostly a sensible one, so that sessions get somewhere.
function call()
  local i = random(10)
  local ctx = contexts[i]
  local n = random(100)
  if not ctx or n <= 2 then
    new_pair()
  elseif n <= 40 then
    ctx:handshake()
  elseif n <= 55 then
    ctx:read(random(20000))
  elseif n <= 60 then
    ctx:readearly(random(20000))
  elseif n <= 65 then
    ctx:writeearly(bytes())
  elseif n <= 73 then
    ctx:write(random(4) == 1 and random(1000) or bytes())
  elseif n <= 76 then
    ctx:setpeerid('peer')
  elseif n <= 78 then
    if transports[i] then
      ctx:setbio(transports[i][1], transports[i][2])
    else -- an engine: pass what it has to say to a neighbor
      local other = contexts[i % 10 + 1] or ctx
      other:feed(ctx:drain())
    end
  elseif n <= 90 then
    local f = ctx[one_of(methods)]
    f(random(4) == 1 and value() or ctx, value(), value(), value())
  elseif n <= 94 then
    local f = one_of { ssl.newconfig, ssl.newcontext, ssl.newengine, ssl.certificate, ssl.getcookie, ssl.checkcookie, md.hash, md.hmac, base64.encode, base64.decode }
    f(value(), value(), value(), value())
  elseif n <= 96 then
    ssl.newconfig { mode = one_of(modes), [one_of { 'alpn', 'groups', 'ciphers', 'versions', 'verify', 'hostname', 'cacert',
      'cert', 'mtu', 'earlydata', 'sessions', 'certs', 'key', 'password', 'capath', 'crl', 'servername', 'readahead', 'ticketkeys',
      'recordsize', 'signatures', 'x' }] = one_of { value(), { value(), value(), x = value() } } }
  elseif n == 97 then
    contexts[i] = false
  elseif n == 98 then
    collectgarbage()
  else
    -- in a coroutine, which may be left hanging in a callback
    local co = coroutine.create(function() return ctx:handshake() end)
    coroutine.resume(co)
    if random(2) == 1 and coroutine.status(co) == 'suspended' then coroutine.resume(co) end
  end
end

local calls, failures, stop = 0, 0, os.time() + seconds
repeat
  for _ = 1, 100 do
    calls = calls + 1
    if not pcall(call) then failures = failures + 1 end
  end
until os.time() >= stop

local c, s = t.established()
assert(t.send(c, s, 'all is well') == 'all is well')
print(calls .. ' calls, ' .. failures .. ' errors')
