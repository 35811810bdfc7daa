-- Contexts: LuaSec's options, collected one by one, and the configuration of mbedtls.ssl that they make.
local tls = require 'mbedtls.ssl'
local ciphers = require 'ssl.ciphers'
local config = require 'ssl.config'

local context = {}

-- The connection whose operation runs: the functions of a configuration are called for it.
context.running = nil

local Context = {}
local type_of = setmetatable({}, { __mode = 'k' }) -- contexts
local address = tostring

function context.is(value) return type_of[value] == true end

local function check(ctx, name)
  if not context.is(ctx) then error("bad argument #1 to '" .. name .. "' (SSL context expected, got " .. type(ctx) .. ')', 3) end
  return ctx
end

local function check_string(value, arg, name)
  if type(value) == 'number' then value = tostring(value) end
  if type(value) ~= 'string' then
    error(("bad argument #%d to '%s' (string expected, got %s)"):format(arg, name, value == nil and 'no value' or type(value)), 3)
  end
  return value
end

local protocols = {
  any = { '1.2', '1.3' }, sslv23 = { '1.2', '1.3' }, tlsv1_2 = { '1.2' }, tlsv1_3 = { '1.3' },
}
local broken = { sslv2 = 'SSL 2.0', sslv3 = 'SSL 3.0', tlsv1 = 'TLS 1.0', tlsv1_1 = 'TLS 1.1' }

-- create(protocol): a context without a mode, or nil and why not.
function context.create(protocol)
  local versions = protocols[protocol]
  if broken[protocol] then
    return nil, ("invalid protocol (%s): %s is broken, and not supported; use any, tlsv1_2 or tlsv1_3"):format(protocol, broken[protocol])
  elseif not versions then
    return nil, ('invalid protocol (%s): there are any, tlsv1_2 and tlsv1_3'):format(tostring(protocol))
  end
  local ctx = { versions = versions, certificates = {}, verify = {}, verifyext = {}, options = {} }
  local id = address(ctx):match '0x%x+' or address(ctx)
  type_of[ctx] = true
  return setmetatable(ctx, { __index = Context, __tostring = function() return 'SSL context: ' .. id end })
end

function context.setmode(ctx, mode)
  check(ctx, 'setmode')
  if mode ~= 'client' and mode ~= 'server' then return false, ('invalid mode (%s)'):format(tostring(mode)) end
  ctx.mode = mode
  return true
end

-- The last certificate of the list, if it lacks what comes now, or another one.
local function incomplete(ctx, field)
  local last = ctx.certificates[#ctx.certificates]
  if not last or last[field] then
    last = {}
    ctx.certificates[#ctx.certificates + 1] = last
  end
  ctx.config = nil
  return last
end

local function readable(file, what)
  local f, err = io.open(file, 'rb')
  if not f then return false, ('error loading %s (%s)'):format(what, err) end
  f:close()
  return true
end

function context.loadkey(ctx, file, password)
  local key = check_string(file, 2, 'loadkey')
  check(ctx, 'loadkey')
  if type(password) == 'function' then
    password = password()
    if type(password) ~= 'string' then password = '' end
  elseif password ~= nil and type(password) ~= 'string' then
    error('invalid callback value', 2)
  end
  local ok, err = readable(key, 'private key')
  if not ok then return false, err end
  local certificate = incomplete(ctx, 'key')
  certificate.key, certificate.password = key, password
  return true
end

function context.loadcert(ctx, file)
  file = check_string(file, 2, 'loadcert')
  check(ctx, 'loadcert')
  local ok, err = readable(file, 'certificate')
  if not ok then return false, err end
  incomplete(ctx, 'cert').cert = file
  return true
end

-- The key is compared with its certificate when the context is complete.
function context.checkkey(ctx)
  check(ctx, 'checkkey')
  return true
end

function context.locations(ctx, cafile, capath)
  check(ctx, 'locations')
  if cafile then
    local ok, err = readable(cafile, 'CA locations')
    if not ok then return false, err end
  end
  ctx.cafile, ctx.capath, ctx.config = cafile, capath, nil
  return true
end

function context.setcipher(ctx, text)
  text = check_string(text, 2, 'setcipher')
  local names = ciphers.parse(text)
  if not names then
    return false, 'error setting cipher list (no cipher match): no cipher suite with RSA or DH key exchange, CBC, or a PSK is supported;'
      .. ' use ECDHE with AESGCM or CHACHA20, or leave ciphers out'
  end
  check(ctx, 'setcipher').ciphers, ctx.config = names, nil
  return true
end

function context.setciphersuites(ctx, text)
  local names, wrong = ciphers.suites(check_string(text, 2, 'setciphersuites'))
  if not names then return false, ('error setting cipher list (no cipher match): %s is not a cipher suite of TLS 1.3'):format(wrong) end
  check(ctx, 'setciphersuites').suites, ctx.config = names, nil
  return true
end

function context.setdepth(ctx, depth)
  depth = tonumber(depth)
  if not depth then error("bad argument #2 to 'setdepth' (number expected)", 2) end
  check(ctx, 'setdepth').depth, ctx.config = depth, nil
  return true
end

-- Adds flags to a set, if all are allowed.
local function add_flags(set, allowed, what, ...)
  for i = 1, select('#', ...) do
    local flag = (select(i, ...))
    if not allowed[flag] then return false, ('%s (%s)'):format(what, tostring(flag)) end
    set[flag] = true
  end
  return true
end

local verify_flags = { none = true, peer = true, client_once = true, fail_if_no_peer_cert = true }
local verifyext_flags = { lsec_continue = true, lsec_ignore_purpose = true, crl_check = true }

function context.setverify(ctx, ...)
  check(ctx, 'setverify').config = nil
  return add_flags(ctx.verify, verify_flags, 'invalid verify option', ...)
end

function Context:setverifyext(...)
  check(self, 'setverifyext').config = nil
  for i = 1, select('#', ...) do
    if select(i, ...) == 'crl_check_chain' then
      return false, 'invalid verify option (crl_check_chain): use crl_check, which also uses the lists of other authorities that are there'
    end
  end
  return add_flags(self.verifyext, verifyext_flags, 'invalid verify option', ...)
end

local refused = {
  allow_unsafe_legacy_renegotiation = 'there is no renegotiation',
  allow_no_dhe_kex = 'PSKs without a key exchange have no forward secrecy',
  cookie_exchange = 'that is for DTLS: see mbedtls.ssl',
}

function context.setoptions(ctx, ...)
  check(ctx, 'setoptions').config = nil
  for i = 1, select('#', ...) do
    local option = (select(i, ...))
    if refused[option] then return false, ('invalid option (%s): %s'):format(option, refused[option]) end
  end
  return add_flags(ctx.options, config.options, 'invalid option', ...)
end

function context.setdhparam()
  return false, 'dhparam is not supported, since no cipher suite has DH key exchange: leave it out, and use curveslist for ECDHE'
end

function context.setdane()
  return false, 'dane is not supported: compare the fingerprints of getpeercertificate() yourself'
end

function context.setcurve(ctx, text)
  local names, wrong = ciphers.groups(check_string(text, 2, 'setcurve'))
  if not names then return false, ("elliptic curve '%s' not supported"):format(wrong) end
  check(ctx, 'setcurve').groups, ctx.config = names, nil
  return true
end

function context.setcurveslist(ctx, text)
  text = check_string(text, 2, 'setcurveslist')
  local names = ciphers.groups(text)
  if not names then return false, ('unknown elliptic curve in "%s"'):format(text) end
  check(ctx, 'setcurveslist').groups, ctx.config = names, nil
  return true
end

-- ALPN's names as OpenSSL writes them, each after its length, and as a list.
local function from_wire(wire)
  local list, i = {}, 1
  while i <= #wire do
    local length = wire:byte(i)
    list[#list + 1] = wire:sub(i + 1, i + length)
    i = i + length + 1
  end
  return list
end

local function to_wire(list)
  local wire = {}
  for i, name in ipairs(list) do wire[i] = string.char(#name) .. name end
  return table.concat(wire)
end

function context.setalpn(ctx, wire)
  check(ctx, 'setalpn').alpn, ctx.config = from_wire(check_string(wire, 2, 'setalpn')), nil
  return true
end

-- The callback gets the client's names, and returns the server's, both as OpenSSL writes them.
function context.setalpncb(ctx, callback)
  check(ctx, 'setalpncb').alpn = function(names)
    local wire = callback(to_wire(names))
    return type(wire) == 'string' and from_wire(wire) or nil
  end
  ctx.config = nil
  return true
end

-- The server's first name that the client has too, or false.
local function choose(ours, theirs)
  if type(ours) == 'string' then ours = { ours } end
  for _, name in ipairs(type(ours) == 'table' and ours or {}) do
    for _, other in ipairs(theirs) do
      if name == other then return name end
    end
  end
  return false
end

-- How the peer is verified: an answer of mbedtls.ssl's option `verify`, or nil and why not.
local function verification(ctx)
  local peer, continue, trust = ctx.verify.peer, ctx.verifyext.lsec_continue, ctx.cafile or ctx.capath
  local server, must = ctx.mode == 'server', ctx.verify.fail_if_no_peer_cert
  if not peer then return 'none' end
  if continue then return not server and 'none' or must and 'require-any' or 'request' end
  if not trust then return nil, 'verify needs cafile or capath: whose certificates the peer must have' end
  return not server and (ctx.checkname and 'required' or 'chain') or must and 'required' or 'optional'
end

local function versions(ctx)
  local list = {}
  for _, version in ipairs(ctx.versions) do
    if not ctx.options['no_tlsv' .. version:gsub('%.', '_')] then list[#list + 1] = version end
  end
  return list
end

-- Both versions' suites: mbedtls.ssl has one option for them.
local function suites(ctx, list)
  if not ctx.ciphers and not ctx.suites then return nil end
  local names = {}
  for _, version in ipairs(list) do
    local some = version == '1.2' and (ctx.ciphers or ciphers.default 'TLSv1.2') or version == '1.3' and (ctx.suites or ciphers.default 'TLSv1.3')
    for _, name in ipairs(some) do names[#names + 1] = name end
  end
  return names
end

-- How the peer of a connection of ctx is verified, as a text: sni() compares it.
function context.judgment(ctx)
  local parts = { ctx.cafile or '', ctx.capath or '', tostring(ctx.depth) }
  for _, flags in ipairs { verify_flags, verifyext_flags } do
    local names = {}
    for name in pairs(flags) do
      if ctx.verify[name] or ctx.verifyext[name] then names[#names + 1] = name end
    end
    table.sort(names)
    parts[#parts + 1] = table.concat(names, ' ')
  end
  return table.concat(parts, '\n')
end

-- The server's configuration for the name that a client asks for.
local function by_name(ctx)
  return function(hello)
    local connection = context.running
    local names = connection and connection.names
    if not names or not hello.hostname then return true end
    local found = names[hello.hostname]
    if not found then return not connection.strict, 'unknown server name' end
    return found == ctx or found.config or (context.complete(found))
  end
end

-- What newconfig says of files, in LuaSec's words.
local function explain(err)
  err = tostring(err):gsub('^[^:]+:%d+: ', '')
  for ours, theirs in pairs {
    ["can't parse private key"] = 'private key', ["can't parse certificate"] = 'certificate', ["can't parse CA certificate"] = 'CA locations',
    ["can't parse CRL"] = 'CRLs of cafile',
  } do
    local file, reason = err:match('^(.-): ' .. ours .. ':? ?(.*)$')
    if file then return ('error loading %s (%s: %s)'):format(theirs, file, reason) end
  end
  if err:find 'mismatch' then return 'private key does not match public key' end
  return err
end

-- The options of newconfig.
local function options(ctx)
  local verify, wrong = verification(ctx)
  if not verify then return nil, wrong end
  local list = versions(ctx)
  if #list == 0 then return nil, 'invalid options: they leave no protocol; TLS 1.2 and 1.3 are those that there are' end
  local server = ctx.mode == 'server'
  local t = {
    mode = 'tls-' .. ctx.mode, versions = list, ciphers = suites(ctx, list), groups = ctx.groups,
    cacert = ctx.cafile, capath = ctx.capath, verify = verify, certs = {},
  }
  local judged = verify == 'chain' or verify == 'required' or verify == 'optional'
  if judged and ctx.depth then t.depth = ctx.depth end
  if judged and ctx.verifyext.lsec_ignore_purpose and not ctx.checkname then t.purpose = 'any' end
  if ctx.verifyext.crl_check then
    if not ctx.cafile then return nil, 'crl_check needs cafile: the file with the revocation lists' end
    t.crl = ctx.cafile
  end
  for _, certificate in ipairs(ctx.certificates) do
    if certificate.cert then t.certs[#t.certs + 1] = certificate end
  end
  if #t.certs == 0 then t.certs = nil end
  if server then
    t.servername = by_name(ctx)
    if ctx.options.no_ticket then t.tickets = false end
    if ctx.alpn then
      t.alpn = function(hello) return choose(type(ctx.alpn) == 'function' and ctx.alpn(hello.alpn) or ctx.alpn, hello.alpn) end
    end
  elseif ctx.alpn then
    t.alpn = ctx.alpn
  end
  for name, value in pairs(ctx.more or {}) do t[name] = value end
  return t
end

-- Makes the configuration, unless there is one; returns it, or nil and why not.
function context.complete(ctx)
  if ctx.config then return ctx.config end
  if not ctx.mode then return nil, 'invalid mode' end
  local t, wrong = options(ctx)
  if not t then return nil, wrong end
  local ok, made = pcall(tls.newconfig, t)
  if not ok then return nil, explain(made) end
  ctx.config = made
  return made
end

return context
