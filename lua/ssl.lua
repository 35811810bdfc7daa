-- A module that programs written for LuaSec can use in its place, over mbedtls.ssl and LuaSocket.
local core = require 'ssl.core'
local context = require 'ssl.context'
local x509 = require 'ssl.x509'
local config = require 'ssl.config'

local unpack = table.unpack or unpack

-- Calls f(ctx, …) with an option's value, or with its elements if it is a list.
local function apply(f, ctx, value)
  if not value then return true end
  if type(value) == 'table' then return f(ctx, unpack(value)) end
  return f(ctx, value)
end

local function load_certificates(ctx, cfg)
  for _, c in ipairs(cfg.certificates or { { certificate = cfg.certificate, key = cfg.key, password = cfg.password } }) do
    if c.password and type(c.password) ~= 'function' and type(c.password) ~= 'string' then return nil, 'invalid password type' end
    local ok, err = true, nil
    if c.key then ok, err = context.loadkey(ctx, c.key, c.password) end
    if ok and c.certificate then ok, err = context.loadcert(ctx, c.certificate) end
    if not ok then return nil, err end
  end
  return true
end

-- Whether a list of names for ALPN can be sent, or nil and why not.
local function good_names(list)
  if #list == 0 then return nil, 'invalid ALPN list (empty)' end
  for _, name in ipairs(list) do
    if type(name) ~= 'string' then return nil, 'invalid ALPN parameter' end
    if name == '' then return nil, 'invalid ALPN name (empty string)' end
    if #name > 255 then return nil, 'invalid ALPN name (length > 255)' end
  end
  return true
end

local function set_alpn(ctx, cfg)
  local alpn = cfg.alpn
  if alpn == nil then return true end
  if type(alpn) == 'function' and cfg.mode == 'server' then
    ctx.alpn = alpn
    return true
  end
  if type(alpn) == 'string' and cfg.mode == 'client' then alpn = { alpn } end
  if type(alpn) ~= 'table' then return nil, 'invalid ALPN parameter' end
  ctx.alpn = alpn
  return good_names(alpn)
end

local function set_locations(ctx, cfg)
  if cfg.cafile or cfg.capath then return context.locations(ctx, cfg.cafile, cfg.capath) end
  return true
end

local function set_curves(ctx, cfg)
  if cfg.curveslist then return context.setcurveslist(ctx, cfg.curveslist) end
  if cfg.curve then return context.setcurve(ctx, cfg.curve) end
  return true
end

-- The options, in the order in which LuaSec applies them.
local steps = {
  function(ctx, cfg) return context.setmode(ctx, cfg.mode) end,
  load_certificates,
  set_locations,
  function(ctx, cfg) return apply(context.setcipher, ctx, cfg.ciphers) end,
  function(ctx, cfg) return apply(context.setciphersuites, ctx, cfg.ciphersuites) end,
  function(ctx, cfg) return apply(context.setverify, ctx, cfg.verify) end,
  function(ctx, cfg) return apply(context.setoptions, ctx, cfg.options) end,
  function(ctx, cfg) return apply(context.setdepth, ctx, cfg.depth) end,
  function(ctx, cfg) return apply(context.setdhparam, ctx, cfg.dhparam) end,
  set_curves,
  function(ctx, cfg) return apply(ctx.setverifyext, ctx, cfg.verifyext) end,
  set_alpn,
  function(ctx, cfg) return apply(context.setdane, ctx, cfg.dane) end,
  function(ctx, cfg)
    ctx.checkname, ctx.more = cfg.checkname, cfg.more
    return context.complete(ctx)
  end,
}

-- newcontext(cfg): a context, or nil and what is wrong with an option.
local function newcontext(cfg)
  if type(cfg) ~= 'table' then error("bad argument #1 to 'newcontext' (table expected, got " .. type(cfg) .. ')', 2) end
  local ctx, err = context.create(cfg.protocol)
  if not ctx then return nil, err end
  for _, step in ipairs(steps) do
    local ok, wrong = step(ctx, cfg)
    if not ok then return nil, wrong end
  end
  return ctx
end

-- wrap(sock, cfg): a connection that takes over the socket; cfg is a context, or options.
local function wrap(sock, cfg)
  local ctx, err = cfg, nil
  if type(cfg) == 'table' and not context.is(cfg) then
    ctx, err = newcontext(cfg)
    if not ctx then return nil, err end
  end
  local conn, wrong = core.create(ctx)
  if not conn then return nil, wrong end
  core.attach(conn, sock)
  return conn
end

-- conn:info([field]): what was negotiated.
local function info(conn, field)
  local compression, err = core.compression(conn)
  if err then return compression, err end
  local t = { compression = compression }
  local text, bits, algbits, protocol = core.info(conn)
  if text then
    t.cipher, t.key, t.authentication, t.encryption, t.mac = text:match '^(%S+)%s+%S+%s+Kx=(%S+)%s+Au=(%S+)%s+Enc=(%S+)%s+Mac=(%S+)'
    t.bits, t.algbits, t.protocol, t.export = bits, algbits, protocol, false
  end
  if field then return t[field] end
  return t
end

core.setmethod('info', info)

return {
  _VERSION = '1.2.0',
  _COPYRIGHT = core.copyright(),
  config = config,
  loadcertificate = x509.load,
  newcontext = newcontext,
  wrap = wrap,
}
