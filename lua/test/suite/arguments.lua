-- What is thrown, and for what.
local h, t = require 'harness', require 'transport'
local ssl = require 'mbedtls.ssl'

local tests = {}

tests['newconfig: the mode is matched exactly'] = function()
  for _, mode in ipairs { 'tls-client', 'tls-server', 'dtls-client', 'dtls-server' } do
    h.same(type(ssl.newconfig(mode)), 'userdata')
  end
  for _, mode in ipairs { 'TLS-client', ' tls-client', 'tls', '' } do
    h.throws("bad argument #1", ssl.newconfig, mode)
    h.throws("invalid option '" .. mode .. "'", ssl.newconfig, mode)
  end
  h.throws('bad argument #1', ssl.newconfig)
  h.throws('bad argument #1', ssl.newconfig, true)
end

tests['newconfig: file names are strings, numbers or nil'] = function()
  ssl.newconfig('tls-client', nil, nil)
  h.throws("7: can't parse CA certificate", ssl.newconfig, 'tls-client', 7)
  for _, bad in ipairs { true, {}, print } do
    h.throws('bad argument #2', ssl.newconfig, 'tls-client', bad)
    h.throws('bad argument #3', ssl.newconfig, 'tls-client', nil, bad)
  end
end

tests['newconfig: files that load'] = function()
  for _, file in ipairs { 'ca.pem', 'many.pem', 'crlf.pem', 'mixed.pem', 'server.pem' } do
    ssl.newconfig('tls-client', h.file(file))
  end
  for _, file in ipairs { 'server.pem', 'pkcs8.pem', 'sec1.pem', 'pkcs1.pem', 'keyfirst.pem' } do
    ssl.newconfig('tls-server', nil, h.file(file))
  end
end

tests['newconfig: files that do not load'] = function()
  for _, file in ipairs { 'missing.pem', 'empty', '.', 'text', 'truncated.pem', 'damaged.pem', 'manybad.pem' } do
    h.throws(h.file(file) .. ": can't parse CA certificate", ssl.newconfig, 'tls-client', h.file(file))
  end
  for _, file in ipairs { 'missing.pem', 'empty', '.', 'text', 'truncated.pem', 'key.pem' } do
    h.throws(h.file(file) .. ": can't parse certificate", ssl.newconfig, 'tls-server', nil, h.file(file))
  end
  h.throws(h.file('ca.pem') .. ": can't parse private key", ssl.newconfig, 'tls-server', nil, h.file('ca.pem'))
  h.throws(h.file('mismatch.pem') .. ': certificate/private key mismatch',
    ssl.newconfig, 'tls-server', nil, h.file('mismatch.pem'))
end

tests['newconfig: an empty name is a file that does not load'] = function()
  h.throws(": can't parse CA certificate", ssl.newconfig, 'tls-client', '')
  h.throws(": can't parse certificate", ssl.newconfig, 'tls-server', nil, '')
  h.throws(": can't parse CA certificate", ssl.newconfig, { mode = 'tls-client', cacert = '' })
  h.throws(": can't parse certificate", ssl.newconfig, { mode = 'tls-server', cert = '' })
end

tests['newconfig: an error tells the caller\'s position'] = function()
  local ok, err = pcall(function() return (ssl.newconfig('tls-client', 'nowhere')) end)
  h.same(ok, false)
  assert(err:find('arguments.lua:%d+: nowhere: can\'t parse CA certificate$'), err)
end

tests['newconfig: files are read once'] = function()
  local name = os.tmpname()
  local function config(mode, content, ...)
    local f = assert(io.open(name, 'wb'))
    f:write(content)
    f:close()
    local cfg = ssl.newconfig(mode, ...)
    os.remove(name)
    return cfg
  end
  local client = config('tls-client', h.content('ca.pem'), name)
  local server = config('tls-server', h.content('server.pem'), nil, name)
  for _ = 1, 2 do t.established(client, server) end
end

tests['newconfig: a table'] = function()
  ssl.newconfig { mode = 'tls-client', hostname = 'localhost', versions = { '1.2', '1.3' }, alpn = { 'h2' },
    groups = { 'X25519', 'P-256' }, ciphers = { 'TLS_AES_128_GCM_SHA256' }, verify = 'none' }
  ssl.newconfig { mode = 'tls-server', alpn = 'h2', verify = 'optional', cacert = h.content('ca.pem'),
    cert = h.content('server.pem') }
  ssl.newconfig { mode = 'dtls-server', mtu = 1400, cid = 8, tickets = false }
  ssl.newconfig { mode = 'tls-server', earlydata = '1000' }
  ssl.newconfig { mode = 'dtls-server', earlydata = false }
  ssl.newconfig { mode = 'dtls-client', sessions = 1, earlydata = true }
  ssl.newconfig { mode = 'tls-client', earlydata = false }
  ssl.newconfig { mode = 'tls-client', sessions = 10, psk = { identity = 'x', key = 'y', import = true, context = 'z' } }
  for _, bad in ipairs {
    {}, { mode = 'x' }, { mode = 'tls-client', color = 'red' }, { mode = 'tls-client', versions = { '1.1' } },
    { mode = 'tls-client', groups = { 'P-255' } }, { mode = 'tls-client', ciphers = 'RC4' },
    { mode = 'tls-client', alpn = { '' } }, { mode = 'dtls-client', mtu = -1 }, { mode = 'dtls-client', mtu = 'x' },
    { mode = 'tls-client', verify = 'maybe' }, { mode = 'tls-client', alpn = print }, { mode = 'tls-client', 'x' },
    { mode = 'tls-client', alpn = { {} } }, { mode = 'tls-server', hostname = 'x' },
    { mode = 'tls-client', verify = true }, { mode = 'dtls-client', cid = 256 }, { mode = 'dtls-client', cid = true },
    { mode = 'tls-client', psk = 'x' }, { mode = 'tls-client', psk = { identity = 'x' } }, { mode = 'tls-client', psk = { key = 'x' } },
    { mode = 'tls-client', psk = { identity = 'x', key = 'y', context = 'without import' } },
    { mode = 'tls-client', sessions = -1 }, { mode = 'tls-server', sessions = 1 }, { mode = 'tls-server', tickets = 'x' },
  } do
    h.throws('', ssl.newconfig, bad)
  end
  h.throws("unknown option 'color'", ssl.newconfig, { mode = 'tls-client', color = 'red' })
  h.throws("PEM: can't parse", ssl.newconfig, { mode = 'tls-client', cacert = '-----BEGIN CERTIFICATE-----' })
end

tests['newconfig: no argument follows a table'] = function()
  local options = { mode = 'tls-client' }
  local function throws(argument, name, cacert, cert)
    h.throws('bad argument #' .. argument .. " to 'newconfig' (not with a table: name it in the table, as '" .. name .. "')",
      function() return (ssl.newconfig(options, cacert, cert)) end)
  end
  ssl.newconfig(options, nil, nil)
  throws(2, 'cacert', 'nofile.pem', 'nofile.pem')
  throws(3, 'cert', nil, h.file('client.pem'))
  throws(2, 'cacert', {})
end

-- Each: the mode, an option, its value, what is thrown.
local refused = {
  { 'tls-client', 'psk', 'a:b', "option 'psk' must be a table, not a string" },
  { 'tls-client', 'psk', { 'a' }, "option 'psk' must be a table, not a string" },
  { 'tls-client', 'psk', {}, "option 'psk.key' is missing" },
  { 'tls-client', 'psk', { key = 'x' }, "option 'psk.identity' is missing" },
  { 'tls-client', 'psk.identity', 'x', "option 'psk.key' is missing" },
  { 'tls-client', 'psk', { identity = 'x', key = '' }, "invalid option '' for 'psk.key'" },
  { 'tls-client', 'psk', { identity = '', key = 'x' }, "invalid option '' for 'psk.identity'" },
  { 'tls-client', 'psk', { identity = 'x', key = true }, "option 'psk.key' must be a string, not a boolean" },
  { 'tls-client', 'psk', { identity = {}, key = 'x' }, "option 'psk.identity' must be a string, not a nested table" },
  { 'dtls-client', 'mtu', 127, "option 'mtu': 127 is less than 128" },
  { 'dtls-client', 'mtu', 1400.5, "invalid option '1400.5' for 'mtu'" },
  { 'dtls-client', 'mtu', true, "option 'mtu' must be a number or string, not a boolean" },
  { 'tls-client', 'mtu', 1400, "option 'mtu' is for DTLS" },
  { 'tls-server', 'cid', 0, "option 'cid' is for DTLS" },
  { 'dtls-client', 'tickets', true, "option 'tickets' is for servers" },
  { 'tls-server', 'tickets', 'false', "option 'tickets' must be a boolean, not a string" },
  { 'tls-server', 'sessions', 0, "option 'sessions' is for clients" },
  { 'tls-server', 'session', 'file', "option 'session' is for clients" },
  { 'tls-client', 'session', '', "invalid option '' for 'session'" },
  { 'tls-client', 'session', true, "option 'session' must be a string, not a boolean" },
  { 'tls-client', 'earlydata', true, "option 'earlydata' needs 'session' or 'sessions'" },
  { 'tls-client', 'earlydata', 1000, "option 'earlydata' of a client is true or false" },
  { 'tls-client', 'earlydata', {}, "option 'earlydata' must be a number, string or boolean, not a table" },
  { 'tls-server', 'earlydata', true, "option 'earlydata' of a server is how many bytes it takes" },
  { 'tls-server', 'earlydata', -1, "invalid option '-1' for 'earlydata'" },
  { 'tls-server', 'earlydata', 'all', "invalid option 'all' for 'earlydata'" },
  { 'dtls-server', 'earlydata', 1000, "option 'earlydata' is for clients and for TLS" },
  { 'dtls-server', 'hostname', '', "option 'hostname' is for clients" },
  { 'tls-client', 'hostname', ('x'):rep(256), "for 'hostname'" },
  { 'tls-client', 'hostname', 5, "option 'hostname' must be a string, not a number" },
  { 'tls-client', 'cacert', true, "option 'cacert' must be a string, not a boolean" },
  { 'tls-client', 'cacert', {}, "option 'cacert' must be a string, not a table" },
  { 'tls-client', 'cert', 7, "option 'cert' must be a string, not a number" },
  { 'tls-client', 'keylog', 5, "option 'keylog' must be a string, not a number" },
  { 'tls-client', 'keylog', '', "invalid option '' for 'keylog'" },
  { 'tls-client', 'verify', {}, "option 'verify' must be a string or boolean, not a table" },
  { 'tls-server', 'verify', true, "option 'verify' needs 'cacert'" },
  { 'tls-server', 'verify', 'optional', "option 'verify' needs 'cacert'" },
  { 'tls-client', 'alpn', print, "option 'alpn' must be a string or table, not a function" },
  { 'tls-client', 'alpn', { {} }, "option 'alpn' must be a string or table, not a nested table" },
  { 'tls-client', 'alpn', { h2 = true }, "unknown option 'alpn.h2'" },
  { 'tls-client', 'psk', { identity = ('x'):rep(70000), key = 'y' }, "option 'psk': the identity has 70000 bytes" },
}

tests['newconfig: what a table cannot say'] = function()
  for _, case in ipairs(refused) do
    h.throws(case[4], ssl.newconfig, { mode = case[1], [case[2]] = case[3] })
  end
end

tests['newconfig: options that contradict each other'] = function()
  h.throws("option 'ciphers': none belongs to an enabled version", ssl.newconfig,
    { mode = 'tls-client', versions = '1.2', ciphers = 'TLS_AES_128_GCM_SHA256' })
  h.throws("option 'groups': no group is usable in the enabled versions", ssl.newconfig,
    { mode = 'tls-client', versions = '1.2', groups = 'X25519MLKEM768' })
end

tests['newconfig: a whole float is a number of bytes'] = function()
  ssl.newconfig { mode = 'dtls-server', mtu = 2800 / 2, cid = 16 / 2 }
  ssl.newconfig { mode = 'tls-client', sessions = 10 / 5 }
end

tests['newconfig: what newconfig takes, newcontext takes'] = function()
  for _, options in ipairs {
    { mode = 'dtls-client', mtu = 128 }, { mode = 'dtls-client', mtu = 65535, cid = '8' }, { mode = 'dtls-server', cid = 0, tickets = true },
    { mode = 'tls-client', sessions = 0 }, { mode = 'tls-client', versions = 1.2, verify = false },
  } do
    ssl.newcontext(ssl.newconfig(options), print, print)
  end
end

tests['newconfig: a table is told why a file does not load'] = function()
  local function throws(file, problem, options)
    options.mode = 'tls-server'
    h.throws(file .. ': ' .. problem, ssl.newconfig, options)
  end
  for file, why in pairs { ['missing.pem'] = 'no such file or directory', ['.'] = 'is a directory', text = 'no PEM block',
    empty = 'no PEM block', ['truncated.pem'] = 'a PEM block is truncated or damaged', ['manybad.pem'] = 'x509: ' } do
    file = h.file(file)
    throws(file, "can't parse CA certificate: " .. why, { cacert = file })
  end
  local key, ca, mismatch = h.file('key.pem'), h.file('ca.pem'), h.file('mismatch.pem')
  throws(key, "can't parse certificate: no CERTIFICATE block", { cert = key })
  throws(ca, "can't parse private key: no PRIVATE KEY block", { cert = ca })
  throws(mismatch, 'certificate/private key mismatch: the private key does not', { cert = mismatch })
  throws('', "can't parse CA certificate: its name is empty", { cacert = '' })
  throws('PEM', "can't parse CA certificate: a PEM block is", { cacert = '-----BEGIN CERTIFICATE-----' })
  throws('PEM', "can't parse private key: no PRIVATE KEY block", { cert = h.content('ca.pem') })
  throws('/no/where', "can't open key log: no such file or directory", { keylog = '/no/where' })
end

tests['newconfig: the positional form has the original\'s texts alone'] = function()
  local function ends(text, ...)
    local _, err = pcall(ssl.newconfig, ...)
    h.same(err:sub(-#text), text)
  end
  ends(": can't parse CA certificate", 'tls-client', h.file('missing.pem'))
  ends(": can't parse CA certificate", 'tls-client', '')
  ends(": can't parse certificate", 'tls-client', nil, h.file('text'))
  ends(": can't parse private key", 'tls-client', nil, h.file('ca.pem'))
  ends(': certificate/private key mismatch', 'tls-client', nil, h.file('mismatch.pem'))
end

tests['newcontext: its arguments'] = function()
  local cfg, f = ssl.newconfig('tls-client'), function() return '' end
  h.throws('bad argument #1', ssl.newcontext)
  h.throws('bad argument #1', ssl.newcontext, {}, f, f)
  h.throws('bad argument #1', ssl.newcontext, ssl.newcontext(cfg, f, f), f, f)
  h.throws('bad argument #2', ssl.newcontext, cfg)
  h.throws('value is nil', ssl.newcontext, cfg, nil, f)
  h.throws('value is nil', ssl.newcontext, cfg, f)
  local ctx = ssl.newcontext(cfg, f, f, nil, 'more', 'arguments')
  h.throws('value is nil', ctx.setbio, ctx, f)
  h.results()(ctx:setbio(f, f))
end

tests['callbacks: their type is looked at when they are called'] = function()
  local ctx = ssl.newcontext(ssl.newconfig('tls-client'), 1, 2)
  local result, err = ctx:handshake()
  h.same(result, nil)
  assert(tostring(err):find('attempt to call'), err)
  local called = setmetatable({}, { __call = function(_, data) return #data end })
  ctx:setbio(function() return '' end, called)
  h.results(nil, 'want-read')(ctx:handshake())
end

tests['methods: only contexts have them'] = function()
  local cfg = ssl.newconfig('tls-client')
  local ctx = ssl.newcontext(cfg, print, print)
  for _, self in ipairs { cfg, {}, 1, 'x', io.stdout, print } do
    for _, name in ipairs { 'handshake', 'read', 'write', 'close', 'reset', 'setbio', 'gettimeout', 'info' } do
      h.throws('mbedtls.ssl.context expected', ctx[name], self, 1, 1)
    end
  end
  h.throws('', ctx.handshake)
end

tests['methods: self is not counted'] = function()
  local c, s = t.established()
  h.throws("bad argument #1 to 'read' (number expected, got table)", function() return (c:read {}) end)
  h.throws("bad argument #1 to 'write' (string expected, got no value)", function() return (c:write()) end)
  h.throws("bad argument #2 to 'write' (value out of range)", function() return (c:write('x', 3)) end)
  h.throws("bad argument #2 to 'setbio' (value is nil)", function() return (c:setbio(print)) end)
  h.throws("bad argument #1 to 'getcookie' (string expected, got no value)", function() return (ssl.getcookie()) end)
end

tests['read: size'] = function()
  local c, s = t.established()
  h.throws('value out of range', c.read, c, -1)
  for _, bad in ipairs { 'x', '', {}, true, print } do h.throws('number expected', c.read, c, bad) end
  h.throws('number expected', c.read, c)
  h.throws('number expected', c.read, c, nil)
  s:write('twelve bytes')
  h.results('twelve')(c:read('6'))
  h.results(' bytes')(c:read(2 ^ 40))
  if h.version >= 5.3 then
    h.throws('number has no integer representation', c.read, c, 1.5)
  else
    h.results(nil, 'want-read')(c:read(1.5))
  end
end

tests['write: pos and len'] = function()
  local c, s = t.established()
  h.results(3)(c:write('abcdef', 4))
  h.results('def')(s:read(9))
  h.results(2)(c:write('abcdef', 2, 2))
  h.results('bc')(s:read(9))
  h.results(6)(c:write('abcdef', nil, nil))
  h.results('abcdef')(s:read(9))
  h.results(0)(c:write('abc', 4))
  h.results(0)(c:write('abc', 2, 0))
  h.results(2)(c:write(42))
  h.results('42')(s:read(9))
  for _, range in ipairs { { 0 }, { 5 }, { -1 }, { 1, 4 }, { 4, 1 }, { 1, -1 }, { 2 ^ 40 }, { 1, 2 ^ 40 } } do
    h.throws('value out of range', c.write, c, 'abc', range[1], range[2])
  end
  for _, bad in ipairs { {}, true, print } do h.throws('string expected', c.write, c, bad) end
  h.throws('string expected', c.write, c)
  h.results(nil, 'want-read')(s:read(9))
end

tests['what fits no mode is thrown'] = function()
  local c, s = t.pair()
  h.throws('operation not supported', c.setpeerid, c, 'x')
  h.throws('operation not supported', s.setpeerid, s, 'x')
  h.throws('operation not supported', s.sethostname, s, 'x')
  h.throws("calling 'setpeerid' on bad self (operation not supported)", function() return (c:setpeerid('x')) end)
  h.throws("calling 'sethostname' on bad self (operation not supported)", function() return (s:sethostname('x')) end)
  h.throws('string expected', c.setpeerid, c)
  h.throws('bad argument', c.sethostname, c)
  h.throws('bad argument', c.sethostname, c, ('x'):rep(256))
  h.results()(c:sethostname('localhost'))
  h.results()(c:sethostname(nil))
  h.results(nil)(c:gettimeout())
end

tests['sethostname: not in the middle of a session'] = function()
  local c, s = t.pair()
  c:handshake()
  local function throws()
    h.throws('the handshake has started: call this before it, or after Reset', function() return (c:sethostname('localhost')) end)
  end
  throws()
  h.same(t.shake(c, s), nil)
  throws()
  c:reset()
  h.results()(c:sethostname('localhost'))
end

tests['compat: the name of closed'] = function()
  h.throws("invalid option '9'", ssl.compat, '9')
  local c, s = t.established()
  c:closenotify()
  ssl.compat '0.2'
  h.results(nil, 'close-notify')(s:read(1))
  ssl.compat '0.1'
  h.results(nil, 'closed')(s:read(1))
end

h.run(tests)
