-- What the module costs, both sides in one thread, transports in memory:
--   ./scripts/install-lua --prefix /tmp/lua
--   LUA_CPATH='/tmp/lua/lib/lua/5.4/?.so' lua5.4 lua/bench/bench.lua [SECONDS]
-- The last column is the original over mbed TLS 2.28 on a machine like those
-- that this one is measured on.
local ssl = require 'mbedtls.ssl'

local seconds = tonumber(arg and arg[1]) or 1

local function stream()
  local parts, first, last, offset = {}, 1, 0, 0
  local function rcb(size)
    local part = parts[first]
    if not part then return '' end
    if offset == 0 and #part <= size then
      parts[first] = nil
      first = first + 1
      return part
    end
    local data = part:sub(offset + 1, offset + size)
    offset = offset + #data
    if offset == #part then
      parts[first] = nil
      first, offset = first + 1, 0
    end
    return data
  end
  local function wcb(data)
    last = last + 1
    parts[last] = data
    return #data
  end
  return rcb, wcb
end

local function datagrams()
  local queue = {}
  return function() return table.remove(queue, 1) or '' end, function(data)
    queue[#queue + 1] = data
    return #data
  end
end

local function pair(client, server, transport)
  local up_r, up_w = transport()
  local down_r, down_w = transport()
  return ssl.newcontext(client, down_r, up_w), ssl.newcontext(server, up_r, down_w)
end

local function shake(c, s, datagram)
  local a, b, err
  for _ = 1, 100 do
    if not a then a, err = c:handshake() end
    if not b then
      if datagram and not s:info().complete then pcall(s.setpeerid, s, 'peer') end
      b, err = s:handshake()
      if b and datagram then b = s:handshake() end
    end
    if a and b then return end
  end
  error(err)
end

-- Calls f until the time is up; returns the CPU time of one call.
local function measure(f)
  local n, step, start = 0, 1, os.clock()
  repeat
    for _ = 1, step do f() end
    n = n + step
    step = step * 2
    local spent = os.clock() - start
  until spent + spent > seconds
  return (os.clock() - start) / n
end

local function show(time)
  if time >= 1e-3 then return ('%.2f ms'):format(time * 1e3) end
  return ('%.2f µs'):format(time * 1e6)
end

local function row(name, original, f)
  local ok, time = pcall(measure, f)
  if ok then
    print(('%-28s %12s %12s %7.1f×'):format(name, show(time), show(original), original / time))
  else
    print(('%-28s %s'):format(name, time))
  end
end

print(('%-28s %12s %12s %8s'):format(_VERSION .. ', ' .. ssl.version, 'hermetic', 'original', ''))

local client, server = ssl.newconfig('tls-client'), ssl.newconfig('tls-server')
row('TLS handshake, both sides', 9.9e-3, function() shake(pair(client, server, stream)) end)

local quick_client = ssl.newconfig { mode = 'tls-client', groups = 'X25519' }
row('  the same, X25519 only', 9.9e-3, function() shake(pair(quick_client, server, stream)) end)

local dclient, dserver = ssl.newconfig('dtls-client'), ssl.newconfig('dtls-server')
local quick_dclient = ssl.newconfig { mode = 'dtls-client', groups = 'X25519' }
for _, case in ipairs { { 'DTLS handshake, both sides', dclient }, { '  the same, X25519 only', quick_dclient } } do
  row(case[1], 9.3e-3, function()
    local c, s = pair(case[2], dserver, datagrams)
    shake(c, s, true)
  end)
end

local c, s = pair(client, server, stream)
shake(c, s)
for _, case in ipairs { { '16 KB', 16384, 92e-6 }, { '1 KB', 1024, 6.9e-6 }, { '64 B', 64, 1.6e-6 } } do
  local data = ('x'):rep(case[2])
  row('write and read, ' .. case[1], case[3], function()
    c:write(data)
    assert(#s:read(16384) == #data)
  end)
end
