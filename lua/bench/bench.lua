-- What the module costs, both sides in one thread, transports in memory:
--   ./scripts/install-lua --prefix /tmp/lua
--   LUA_CPATH='/tmp/lua/lib/lua/5.4/?.so' lua5.4 lua/bench/bench.lua [SECONDS]
-- SECONDS is how long each row is measured. With HERMETIC_ORIGINAL=FILE.so in the
-- environment, the original module built for this Lua, both are measured: three times
-- in turn, each in its own process, and the medians are shown. Nothing is shown
-- that was not measured.
local seconds, only = tonumber(arg[1]) or 1, arg[2]
local original = os.getenv('HERMETIC_ORIGINAL')
if original == '' then original = nil end

if only == 'original' then
  local open = assert(package.loadlib(original, 'luaopen_mbedtls_ssl'))
  package.preload['mbedtls.ssl'] = open
end

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

local folder = arg[0]:match('^(.*)/') or '.'

-- The rows: a name, and what is measured. The original has no options.
local function rows()
  local ssl = require 'mbedtls.ssl'
  local function config(mode, cert, options)
    if only == 'original' then return ssl.newconfig(mode, nil, cert) end
    options = options or {}
    options.mode, options.cert = mode, cert
    return ssl.newconfig(options)
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
        if datagram then pcall(s.setpeerid, s, 'peer') end
        b, err = s:handshake()
        if b and datagram then b = s:handshake() end
      end
      if a and b then return c, s end
    end
    error(err)
  end
  local cert = folder .. '/server.pem'
  local list = {}
  local function row(name, f) list[#list + 1] = { name, f } end
  for _, kind in ipairs { 'tls', 'dtls' } do
    local transport, datagram = kind == 'tls' and stream or datagrams, kind == 'dtls'
    local client, server = config(kind .. '-client'), config(kind .. '-server')
    row(kind:upper() .. ' handshake, by default', function()
      local c, s = pair(client, server, transport)
      shake(c, s, datagram)
    end)
    local x_client, x_server = config(kind .. '-client', nil, { groups = 'X25519' }), config(kind .. '-server', cert)
    row('  X25519, the same certificate', function()
      local c, s = pair(x_client, x_server, transport)
      shake(c, s, datagram)
    end)
  end
  for _, case in ipairs { { '16 KB', 16384 }, { '1 KB', 1024 }, { '64 B', 64 } } do
    local data = ('x'):rep(case[2])
    for _, ahead in ipairs { false, true } do
      local c, s = pair(config('tls-client'), config('tls-server', nil, { readahead = ahead }), stream)
      shake(c, s)
      row(ahead and '  readahead' or 'write and read, ' .. case[1], function()
        c:write(data)
        assert(#s:read(16384) == #data)
      end)
    end
  end
  -- What of the last two is none of the module's: these callbacks, with a record of that size.
  local rcb, wcb = stream()
  local record = ('x'):rep(5 + 64 + 17)
  row('  its callbacks alone', function()
    wcb(record)
    assert(#rcb(5) + #rcb(#record - 5) == #record)
  end)
  if only == 'original' then return list end
  local context = pair(config('tls-client'), config('tls-server'), stream)
  row('a call of the engine: pending', function() context:pending() end)
  return list
end

if only then -- a process that measures, and prints for the other
  for _, row in ipairs(rows()) do
    local ok, time = pcall(measure, row[2])
    print(row[1] .. '\t' .. (ok and time or tostring(time)))
  end
  return
end

-- The times of one module, by its own process, in the order of the rows.
local function run(module)
  local n = 0
  while arg[n - 1] do n = n - 1 end -- the interpreter
  local command = ("'%s' '%s' %g %s"):format(arg[n], arg[0], seconds, module)
  local names, times = {}, {}
  for line in assert(io.popen(command)):lines() do
    local name, time = line:match('^(.-)\t(.*)$')
    if not name then error(line) end
    names[#names + 1], times[#times + 1] = name, tonumber(time) or time
  end
  if #names == 0 then error(command .. ' has measured nothing') end
  return names, times
end

-- The medians of several runs, or what went wrong in one.
local function median(runs, row)
  local list = {}
  for i, times in ipairs(runs) do
    if type(times[row]) ~= 'number' then return times[row] end
    list[i] = times[row]
  end
  table.sort(list)
  return list[(#list + 1) / 2]
end

local function show(time)
  if type(time) ~= 'number' then return tostring(time) end
  if time >= 1e-3 then return ('%.2f ms'):format(time * 1e3) end
  return ('%.2f us'):format(time * 1e6)
end

local names
local mine, theirs = {}, {}
for i = 1, original and 3 or 1 do
  names, mine[i] = run('hermetic')
  if original then _, theirs[i] = run('original') end
end
local machine = rawget(_G, 'jit') and jit.version or _VERSION
print(('%-34s %12s'):format(machine .. ', ' .. require 'mbedtls.ssl'.version, 'hermetic') .. (original and '     original' or ''))
for i, name in ipairs(names) do
  local a = median(mine, i)
  local line = ('%-34s %12s'):format(name, show(a))
  if original and theirs[1][i] then
    local b = median(theirs, i)
    line = line .. (' %12s'):format(show(b))
    if type(a) == 'number' and type(b) == 'number' then line = line .. ('  %5.1f times'):format(b / a) end
  end
  print(line)
end
