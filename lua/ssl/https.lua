-- HTTPS by LuaSocket's http, as in LuaSec.
local socket = require 'socket'
local http = require 'socket.http'
local ltn12 = require 'ltn12'
local url = require 'socket.url'
local ssl = require 'ssl'

local try = socket.try

local https = { _VERSION = ssl._VERSION, _COPYRIGHT = ssl._COPYRIGHT, PORT = 443, TIMEOUT = 60 }

-- LuaSec's defaults. **Nothing is verified** unless verify and cafile or capath say so.
local defaults = { protocol = 'any', options = { 'all', 'no_sslv2', 'no_sslv3', 'no_tlsv1' }, verify = 'none' }

-- Passes the methods that conn lacks on to its socket, whichever that is by then.
local function forwarding(conn)
  return setmetatable(conn, {
    __index = function(_, name)
      local method = conn.sock[name]
      if type(method) ~= 'function' then return method end
      return function(_, ...) return method(conn.sock, ...) end
    end,
  })
end

-- tcp(params): what makes the connections for LuaSocket's http; params are options of ssl.newcontext.
function https.tcp(params)
  params = params or {}
  for name, value in pairs(defaults) do params[name] = params[name] or value end
  params.mode = 'client'
  return function()
    local conn = { sock = try(socket.tcp()) }
    function conn:settimeout() return self.sock:settimeout(https.TIMEOUT) end
    function conn:connect(host, port)
      try(self.sock:connect(host, port))
      self.sock = try(ssl.wrap(self.sock, params))
      self.sock:sni(host)
      self.sock:settimeout(https.TIMEOUT)
      try(self.sock:dohandshake())
      return 1
    end
    return forwarding(conn)
  end
end

-- As tcp, without TLS.
local function unencrypted() return forwarding { sock = try(socket.tcp()) } end

-- Has the lines that a connection reads passed to look.
local function observed(create, look)
  return function()
    local conn = create()
    function conn:receive(pattern, ...)
      local line, err, part = self.sock:receive(pattern, ...)
      if line and type(pattern) ~= 'number' then look(line) end
      return line, err, part
    end
    return conn
  end
end

local redirects = { ['301'] = true, ['302'] = true, ['303'] = true, ['307'] = true, ['308'] = true }

-- Where a redirection leads if the request permits it, or nil. Not to another scheme: what was meant to
-- be encrypted must not become readable, unless the request has unsaferedirect.
local function target(request, location)
  local method = request.method or 'GET'
  if request.redirect == false or request.source or method ~= 'GET' and method ~= 'HEAD' then return nil end
  local there = url.absolute(request.url, (location:gsub('%s', '')))
  local scheme = url.parse(there).scheme
  if scheme == 'https' or scheme == 'http' and request.unsaferedirect then return there end
end

-- One exchange. Returns the results of LuaSocket, and where to go next; what a redirection says is dropped.
local function exchange(request, create, follows)
  local code, next_url
  local function look(line)
    local status = line:match '^HTTP/%d%.%d (%d%d%d)'
    if status then code = status end
    local location = line:match '^[Ll][Oo][Cc][Aa][Tt][Ii][Oo][Nn]:%s*(.-)%s*$'
    if location and follows and redirects[code] and not next_url then next_url = target(request, location) end
  end
  local copy = {}
  for name, value in pairs(request) do copy[name] = value end
  copy.redirect, copy.create = false, observed(create, look)
  local sink = request.sink or ltn12.sink.null()
  copy.sink = function(chunk, err) return next_url and 1 or sink(chunk, err) end
  local result, status, headers, line = http.request(copy)
  return next_url, result, status, headers, line
end

-- The request of a URL and, for a POST, a body.
local function simple(address, body, parts)
  local request = { url = address, sink = ltn12.sink.table(parts) }
  if body then
    request.method, request.source = 'POST', ltn12.source.string(body)
    request.headers = { ['content-length'] = #body, ['content-type'] = 'application/x-www-form-urlencoded' }
  end
  return request
end

local function with_port(address) return url.build(url.parse(address, { port = https.PORT })) end

-- The headers of a request, without what is for the first host only.
local function for_another_host(headers)
  local kept = {}
  for name, value in pairs(headers or {}) do
    local lower = name:lower()
    if lower ~= 'host' and lower ~= 'authorization' and lower ~= 'cookie' then kept[name] = value end
  end
  return kept
end

-- request(url [, body]) or request(table): as LuaSocket's http.request, with ssl.newcontext's options.
function https.request(address, body)
  local parts = type(address) == 'string' and {} or nil
  local request = parts and simple(address, body, parts) or address
  if http.PROXY or request.proxy then
    return nil, 'proxy not supported'
  elseif request.redirect and not parts then
    return nil, 'redirect not supported'
  elseif request.create then
    return nil, 'create function not permitted'
  end
  local copy = {}
  for name, value in pairs(request) do copy[name] = value end
  request, copy.url = copy, with_port(copy.url)
  local left = request.maxredirects == false and math.huge or request.maxredirects or 5
  local secure = true
  while true do
    local params = {}
    for name, value in pairs(request) do params[name] = value end
    local next_url, result, code, headers, status = exchange(request, secure and https.tcp(params) or unencrypted, left > 0)
    if not next_url or not result then
      if result and parts then return table.concat(parts), code, headers, status end
      return result, code, headers, status
    end
    local here, there = url.parse(request.url), url.parse(next_url)
    if here.host ~= there.host then request.headers = for_another_host(request.headers) end
    secure = there.scheme == 'https'
    left, request.url = left - 1, secure and with_port(next_url) or next_url
  end
end

return https
