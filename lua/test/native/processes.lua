-- Forks, threads and states: on real Lua only.
local h = require 'harness'
local native = require 'native'

local tests = {}

local session = [[
  local ssl, t = require 'mbedtls.ssl', require 'transport'
  for _ = 1, 20 do
    local c, s = t.established()
    assert(t.send(c, s, ('x'):rep(50000)) == ('x'):rep(50000))
    c:close()
    assert(select(2, s:read(1)) == 'closed')
  end
  collectgarbage()
  return 'fine'
]]

-- This must run before anything else has loaded the module.
tests['1: required in the child it works there'] = function()
  h.same(package.loaded['mbedtls.ssl'], nil)
  h.same(native.fork((loadstring or load)(session)), 'fine')
end

tests['1b: required before the fork, and used first in its children, it works there'] = function()
  require 'mbedtls'
  h.same(require 'mbedtls.ssl'.version:find('^hermetic '), 1)
  local run = (loadstring or load)(session)
  for _ = 1, 2 do h.same(native.fork(run), 'fine') end
  h.same(native.fork(function() return native.fork(run) end), 'fine')
end

tests['2: many states, one after the other and at once'] = function()
  for _, n in ipairs { 1, 1, 8, 3 } do
    local results = native.states(session, n)
    h.same(#results, n)
    for _, result in ipairs(results) do h.same(result, 'fine') end
  end
end

tests['3: in a child of the process that loaded it everything throws'] = function()
  local ssl, md, base64 = require 'mbedtls.ssl', require 'mbedtls.md', require 'mbedtls.base64'
  local t = require 'transport'
  local cfg = ssl.newconfig('tls-client')
  local c, s = t.established()
  local calls = {
    function() ssl.newconfig('tls-client') end,
    function() ssl.newconfig { mode = 'tls-client' } end,
    function() ssl.newcontext(cfg, print, print) end,
    function() ssl.getcookie('x') end,
    function() ssl.checkcookie('x', 'y') end,
    function() ssl.compat '0.2' end,
    function() md.hash('MD5', '') end,
    function() md.hmac('MD5', '', '') end,
    function() base64.encode('') end,
    function() base64.decode('') end,
    function() c:handshake() end,
    function() c:read(1) end,
    function() c:write('x') end,
    function() c:close() end,
    function() c:reset() end,
    function() c:setbio(print, print) end,
    function() c:gettimeout() end,
    function() c:info() end,
    function() c:export('x', nil, 1) end,
    function() c:sethostname('x') end,
    function() c:setpeerid('x') end,
    function()
      package.loaded['mbedtls.ssl'] = nil
      require 'mbedtls.ssl'
    end,
    function()
      package.loaded['mbedtls'] = nil
      require 'mbedtls'
    end,
  }
  for i, call in ipairs(calls) do
    local result = native.fork(function()
      local ok, err = pcall(call)
      return tostring(ok) .. ' ' .. tostring(err)
    end)
    assert(result:find('^false .*loaded before fork; require it in the child$'), i .. ': ' .. result)
  end
  h.same(native.fork(function()
    c, s, cfg, calls, ssl = nil, nil, nil, nil, nil
    for _ = 1, 5 do collectgarbage() end
    return 'collected'
  end), 'collected')
  -- and the parent goes on
  h.same(t.send(c, s, 'here'), 'here')
end

tests['4: memory that runs out, at every point'] = function()
  local code = [[
    local ssl, t = require 'mbedtls.ssl', require 'transport'
    local c, s = t.established()
    c:info()
    c:export('label', nil, 20)
    assert(t.send(c, s, 'data') == 'data')
    c:close()
    assert(select(2, s:read(1)) == 'closed')
    return 'fine']]
  local points, n = 0, 1
  repeat
    local result = native.starved(code, n)
    assert(result == 'fine' or result:find('memory'), result)
    points, n = points + 1, n + math.random(9)
  until result == 'fine'
  h.same(points > 50, true, points)
  h.same(native.starved(code, -1), 'fine')
end

tests['5: os.exit in a callback'] = function()
  for _, close in ipairs { 'true', 'false' } do
    local code = [[
      local ssl = require 'mbedtls.ssl'
      local function leave() os.exit(0, ]] .. close .. [[) end
      ssl.newcontext(ssl.newconfig('tls-client'), leave, leave):handshake()
      error('not reached')]]
    local file = os.tmpname()
    local f = io.open(file, 'w')
    f:write(code)
    f:close()
    local n = 0
    while arg[n - 1] do n = n - 1 end -- the interpreter
    local ok = os.execute(arg[n] .. ' ' .. file)
    os.remove(file)
    assert(ok == true or ok == 0, tostring(ok))
  end
end

h.run(tests)
