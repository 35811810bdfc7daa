-- Connections: LuaSec's objects over a context of mbedtls.ssl and a socket of LuaSocket.
local socket = require 'socket'
local tls = require 'mbedtls.ssl'
local context = require 'ssl.context'
local ciphers = require 'ssl.ciphers'
local x509 = require 'ssl.x509'

local core = { SOCKET_INVALID = -1 }

local Connection = {}
local max_read = 16384

-- What a callback raises when the peer has cut the stream without close_notify.
local cut = {}

-- How long an operation may still wait, in seconds; nil is forever. Both of LuaSocket's timeouts count
-- from the operation's beginning.
local function remaining(conn)
  local block, total = conn.block, conn.total
  local limit = block and total and math.min(block, total) or block or total
  if not limit then return nil end
  if limit == 0 then return 0 end
  return math.max(0, limit - (socket.gettime() - conn.start))
end

-- Sets the socket's timeout, if it changes.
local function patience(conn)
  local limit = remaining(conn)
  if limit ~= conn.applied or not conn.set then
    conn.sock:settimeout(limit)
    conn.applied, conn.set = limit, true
  end
end

local waits = { timeout = true, wantread = true, wantwrite = true }

local function receive(conn, size)
  patience(conn)
  local data, err, part = conn.sock:receive(size)
  if data then return data end
  if waits[err] or part ~= '' then return part end
  error(err == 'closed' and cut or err, 0)
end

local function send(conn, data)
  patience(conn)
  local last, err, sent = conn.sock:send(data)
  if last then return last end
  if waits[err] or sent > 0 then return sent end
  error(err, 0)
end

-- OpenSSL's texts of the alerts that a peer sends. Those of SSL 3.0 have kept that name.
local alerts = {
  unexpected_message = 'sslv3 alert unexpected message', bad_record_mac = 'sslv3 alert bad record mac',
  handshake_failure = 'sslv3 alert handshake failure', bad_certificate = 'sslv3 alert bad certificate',
  unsupported_certificate = 'sslv3 alert unsupported certificate', certificate_revoked = 'sslv3 alert certificate revoked',
  certificate_expired = 'sslv3 alert certificate expired', certificate_unknown = 'sslv3 alert certificate unknown',
  illegal_parameter = 'sslv3 alert illegal parameter', unknown_ca = 'tlsv1 alert unknown ca', access_denied = 'tlsv1 alert access denied',
  decode_error = 'tlsv1 alert decode error', decrypt_error = 'tlsv1 alert decrypt error',
  protocol_version = 'tlsv1 alert protocol version', insufficient_security = 'tlsv1 alert insufficient security',
  internal_error = 'tlsv1 alert internal error', user_canceled = 'tlsv1 alert user cancelled',
  no_renegotiation = 'tlsv1 alert no renegotiation', unrecognized_name = 'tlsv1 unrecognized name',
  record_overflow = 'tlsv1 alert record overflow', unsupported_extension = 'tlsv1 unsupported extension',
  missing_extension = 'tlsv13 alert missing extension', certificate_required = 'tlsv13 alert certificate required',
  no_application_protocol = 'tlsv1 alert no application protocol', inappropriate_fallback = 'tlsv1 alert inappropriate fallback',
}

local plain = { ['want-read'] = 'wantread', ['want-write'] = 'wantwrite', closed = 'closed', ['close-notify'] = 'closed',
  ['want-answer'] = 'Waiting for callback' }

-- Whether a failure is that the peer's certificate is not accepted.
local refusals = { '^the certificate ', "the peer's certificate ", 'no CRL of', 'the CRL of', 'is revoked' }

local function is_refusal(err)
  for _, pattern in ipairs(refusals) do
    if err:find(pattern) then return true end
  end
  return false
end

-- What LuaSec's users know an error as, and, where it says less than ours, ours.
local function explain(conn, err)
  if plain[err] then return plain[err] end
  if err == cut then return conn.context.options.ignore_unexpected_eof and 'closed' or 'unexpected eof while reading' end
  if type(err) ~= 'string' then return tostring(err) end
  local alert = err:match '^peer sent alert ([%w_]+)'
  if alert and alerts[alert] then return alerts[alert] end
  if is_refusal(err) then return 'certificate verify failed', err end
  return err
end

local repeats = { wantread = true, wantwrite = true, ['Waiting for callback'] = true, closed = true }

-- Performs an operation of the context. A connection that has failed has failed: mbedtls.ssl would
-- begin a new session on the same stream.
local function perform(conn, operation, ...)
  if conn.failure then return nil, conn.failure, conn.details end
  local outer = context.running
  context.running = conn
  local ok, result, err = pcall(operation, conn.tls, ...)
  context.running = outer
  if not ok then error(result, 0) end
  if result then return result end
  local text, details = explain(conn, err)
  if not repeats[text] then conn.failure, conn.details = text, details end
  return nil, text, details
end

local function mark(conn) conn.start = socket.gettime() end

-- Makes a socket that owns a file descriptor: sockets of LuaSocket differ by their metatables only.
local function from_fd(fd, class)
  local sock = socket.tcp()
  if sock:getfd() >= 0 then sock:close() end
  sock:setfd(fd)
  debug.setmetatable(sock, class)
  return sock
end

local classes = debug and debug.getregistry and debug.getregistry() or {}

-- Takes over a TCP socket's descriptor, as LuaSec does; another transport is used as it is.
local function take(sock)
  local class = classes['tcp{client}']
  if class and sock.setfd and tostring(sock):sub(1, 4) == 'tcp{' then
    local fd = sock:getfd()
    sock:setfd(core.SOCKET_INVALID)
    return from_fd(fd, class)
  end
  return sock
end

local metatable = {} -- of connections without a socket
local collected = {} -- of those with one
local type_of = setmetatable({}, { __mode = 'k' })

local function check(conn, name)
  if not type_of[conn] then error(("bad argument #1 to '%s' (SSL connection expected, got %s)"):format(name, type(conn)), 3) end
  return conn
end

-- Lua 5.1 collects tables silently, but userdata not.
local function collect(conn)
  if not newproxy then return nil end
  local proxy = newproxy(true)
  getmetatable(proxy).__gc = function() conn:close() end
  return proxy
end

-- create(context): a connection without a socket, or nil and why not.
function core.create(ctx)
  if not context.is(ctx) then error('bad argument #1 to \'create\' (invalid context)', 2) end
  local config, err = context.complete(ctx)
  if not config then return nil, err end
  local conn = {
    context = ctx, state = 'new', buffer = '', at = 1, start = 0, received = 0, sent = 0, born = socket.gettime(),
  }
  conn.tls = tls.newcontext(config, receive, send, conn)
  conn.id = tostring(conn):match '0x%x+' or tostring(conn)
  type_of[conn] = true
  return setmetatable(conn, metatable)
end

-- Gives the connection its socket. Finalizers run in the reverse order: its own comes before the socket's.
local function own(conn, sock)
  conn.sock, conn.set, conn.proxy = sock, nil, collect(conn)
  setmetatable(conn, collected)
end

-- setfd(conn, fd): the descriptor of a socket that does not block.
function core.setfd(conn, fd)
  check(conn, 'setfd')
  if conn.state ~= 'new' then error("bad argument #1 to 'setfd' (invalid SSL object state)", 2) end
  if fd == core.SOCKET_INVALID then return end
  local class = classes['tcp{client}']
  if not class then error('LuaSocket has no TCP sockets', 2) end
  own(conn, from_fd(fd, class))
end

-- attach(conn, sock): the connection takes over a socket.
function core.attach(conn, sock) own(conn, take(sock)) end

function core.setmethod(name, method) Connection[name] = method end

function core.copyright() return 'hermetic, a module compatible with LuaSec 1.2.0' end

-- No suite compresses.
function core.compression(conn)
  if check(conn, 'compression').state ~= 'connected' then return nil, 'closed' end
  return nil
end

-- What SSL_CIPHER_description says, the bits of the key, those of the algorithm, and the protocol.
function core.info(conn)
  local info = check(conn, 'info').tls:info()
  local suite = info.suite and ciphers.find(info.suite)
  if not suite then return end
  local text = ('%-30s %-7s Kx=%-8s Au=%-5s Enc=%-22s Mac=%-4s'):format(suite.openssl, suite.protocol, suite.key, suite.authentication,
    suite.encryption, 'AEAD')
  return text, suite.bits, suite.bits, suite.protocol
end

function Connection:dohandshake()
  check(self, 'dohandshake')
  if self.state == 'closed' or not self.sock then return false, 'closed' end
  if self.state == 'connected' then return true end
  mark(self)
  local ok, err, details = perform(self, self.tls.handshake)
  if not ok and details then return false, err, details end
  if not ok then return false, err end
  self.state = 'connected'
  return true
end

-- Has data in the buffer, or returns why not.
local function fill(conn)
  if conn.at <= #conn.buffer then return end
  if conn.state ~= 'connected' then return 'closed' end
  local data, err = perform(conn, conn.tls.read, max_read)
  if not data then return err end
  conn.buffer, conn.at, conn.received = data, 1, conn.received + #data
end

-- Takes up to n bytes out of the buffer.
local function take_bytes(conn, n)
  local data = conn.buffer:sub(conn.at, conn.at + n - 1)
  conn.at = conn.at + #data
  return data
end

local function receive_bytes(conn, parts, wanted)
  repeat
    local err = fill(conn)
    if err then return err end
    local data = take_bytes(conn, wanted)
    parts[#parts + 1], wanted = data, wanted - #data
  until wanted == 0
end

local function receive_line(conn, parts)
  while true do
    local err = fill(conn)
    if err then return err end
    local stop = conn.buffer:find('\n', conn.at, true)
    local data = take_bytes(conn, (stop or #conn.buffer) - conn.at + 1)
    parts[#parts + 1] = data:gsub('[\r\n]', '')
    if stop then return end
  end
end

local function receive_all(conn, parts)
  local first = #parts
  while true do
    local err = fill(conn)
    if err == 'closed' and #parts > first then return end
    if err then return err end
    parts[#parts + 1] = take_bytes(conn, #conn.buffer)
  end
end

local function bad_pattern() error("bad argument #1 to 'receive' (invalid receive pattern)", 3) end

-- What receive(pattern) calls, and its argument.
local function reader(pattern, prefix)
  local n = tonumber(pattern)
  if n then
    if n < 0 or n ~= n then bad_pattern() end
    n = math.floor(n)
    if prefix ~= '' and n <= #prefix then return function() end end
    return receive_bytes, n - #prefix
  end
  local kind = type(pattern) == 'string' and pattern:match '^%*?([la])'
  if not kind then bad_pattern() end
  return kind == 'l' and receive_line or receive_all
end

function Connection:receive(pattern, prefix)
  check(self, 'receive')
  prefix = prefix == nil and '' or tostring(prefix)
  local read, argument = reader(pattern == nil and '*l' or pattern, prefix)
  mark(self)
  local parts = { prefix }
  local err = read(self, parts, argument)
  local data = table.concat(parts)
  if err then return nil, err, data end
  return data, nil, nil
end

-- Sends a piece that was begun before, or begins one: how many bytes are done, or nil and why not.
local function send_piece(conn, data, from, to)
  local length = to - from + 1
  if conn.begun and length < conn.begun then return nil, 'bad write retry' end
  local n, err = perform(conn, conn.tls.write, data, from, length)
  if n then
    conn.begun, conn.sent = nil, conn.sent + n
  elseif err == 'wantwrite' then
    conn.begun = math.min(length, max_read)
  end
  return n, err
end

function Connection:send(data, from, to)
  check(self, 'send')
  if type(data) == 'number' then data = tostring(data) end
  if type(data) ~= 'string' then error("bad argument #1 to 'send' (string expected, got " .. type(data) .. ')', 2) end
  from, to = from or 1, to or -1
  if from < 0 then from = #data + from + 1 end
  if to < 0 then to = #data + to + 1 end
  from, to = math.max(from, 1), math.min(to, #data)
  mark(self)
  local start = from
  while from <= to do
    if self.state ~= 'connected' then return nil, 'closed', from - 1 end
    local n, err = send_piece(self, data, from, to)
    if not n then return nil, err, from - 1 end
    from = from + n
  end
  return math.max(from, start) - 1, nil, nil
end

-- Says close_notify if the socket takes it at once: no peer can hold the program up.
function Connection:close()
  check(self, 'close')
  if self.state == 'closed' then return end
  if self.state == 'connected' and not self.failure then
    self.block, self.total = 0, 0
    mark(self)
    pcall(perform, self, self.tls.close)
  end
  self.state, self.buffer, self.at = 'closed', '', 1
  if self.sock then self.sock:close() end
end

function Connection:settimeout(value, mode)
  check(self, 'settimeout')
  mode = tostring(mode or 'b'):sub(1, 1)
  if value ~= nil and type(value) ~= 'number' then error("bad argument #1 to 'settimeout' (number expected, got " .. type(value) .. ')', 2) end
  if value and value < 0 then value = nil end
  if mode == 'b' then
    self.block = value
  elseif mode == 't' or mode == 'r' then
    self.total = value
  else
    error("bad argument #2 to 'settimeout' (invalid timeout mode)", 2)
  end
  return 1
end

function Connection:getfd()
  check(self, 'getfd')
  if self.state == 'closed' or not self.sock then return core.SOCKET_INVALID end
  return self.sock:getfd()
end

function Connection:dirty()
  check(self, 'dirty')
  if self.state == 'closed' then return false end
  return self.at <= #self.buffer or self.tls:pending() > 0
end

local wants = { answer = 'x509lookup' }

function Connection:want()
  if check(self, 'want').state == 'closed' then return 'nothing' end
  local want = self.tls:want()
  return wants[want] or want
end

-- On a client a name to be sent; on a server the contexts by name, and whether there are no others.
function Connection:sni(names, strict)
  check(self, 'sni')
  if self.context.mode == 'client' then
    if type(names) ~= 'string' then error("bad argument #1 to 'sni' (string expected, got " .. type(names) .. ')', 2) end
    self.name = names
    self.tls:sethostname(names)
    return
  end
  if type(names) ~= 'table' then error("bad argument #1 to 'sni' (table expected, got " .. type(names) .. ')', 2) end
  local judgment = context.judgment(self.context)
  for name, ctx in pairs(names) do
    if type(name) ~= 'string' or not context.is(ctx) then error("bad argument #1 to 'sni' (it must have contexts by name)", 2) end
    if context.judgment(ctx) ~= judgment then
      error(("bad argument #1 to 'sni' (the context of '%s' verifies clients differently: they must all have the same verify, cafile …)"):format(name), 2)
    end
  end
  self.names, self.strict = names, not not strict
end

function Connection:getsniname()
  check(self, 'getsniname')
  return self.name or self.tls:info().hostname
end

function Connection:getalpn() return check(self, 'getalpn').tls:info().alpn end

-- The peer's certificates as tables, or nil.
local function chain_of(conn)
  if not conn.chain then conn.chain = conn.tls:peerchain() end
  return conn.chain
end

function Connection:getpeercertificate(n)
  if check(self, 'getpeercertificate').state ~= 'connected' then return nil, 'closed' end
  n = n or 1
  if n < 1 then return nil, 'invalid certificate index' end
  local fields = (chain_of(self) or {})[n]
  return fields and x509.new(fields) or nil
end

function Connection:getpeerchain()
  if check(self, 'getpeerchain').state ~= 'connected' then return nil, 'closed' end
  local list = {}
  for i, fields in ipairs(chain_of(self) or {}) do list[i] = x509.new(fields) end
  return list
end

-- Whether the peer's certificate verifies, also if the handshake has accepted any.
function Connection:getpeerverification()
  if check(self, 'getpeerverification').state ~= 'connected' then return false, 'closed' end
  local chain, ctx = chain_of(self), self.context
  if not chain then return true end
  local ok, err = false, 'unknown authority'
  if ctx.cafile or ctx.capath then ok, err = self.tls:verifypeer() end
  if ok then return true end
  local reason, depth = x509.explain(err, chain)
  if not (ctx.verify.peer and ctx.verifyext.lsec_continue) then return false, reason end
  return false, { [depth] = { reason } }
end

local no_finished = "only the first Finished message of TLS 1.2 is available, which is tls-unique (RFC 5929): "
  .. "bind to the channel with exportkeyingmaterial('EXPORTER-Channel-Binding', 32, ''), which is tls-exporter (RFC 9266)"

-- The verify_data of the Finished message that we have sent, or the peer. The first of both is
-- the client's, but in a resumed session the server's.
local function finished(conn, ours)
  if conn.state ~= 'connected' then return nil, 'closed' end
  local info = conn.tls:info()
  local first = (conn.context.mode == 'client') ~= info.resumed
  if info.tlsunique and ours == first then return info.tlsunique end
  return nil, no_finished
end

function Connection:getfinished() return finished(check(self, 'getfinished'), true) end
function Connection:getpeerfinished() return finished(check(self, 'getpeerfinished'), false) end

function Connection:exportkeyingmaterial(label, length, bound)
  if check(self, 'exportkeyingmaterial').state ~= 'connected' then return nil, 'closed' end
  local secret = self.tls:export(label, bound, length)
  if not secret then return nil, 'error exporting keying material' end
  return secret
end

function Connection:getstats()
  check(self, 'getstats')
  return self.received, self.sent, socket.gettime() - self.born
end

function Connection:setstats(received, sent, age)
  check(self, 'setstats')
  self.received, self.sent = received or self.received, sent or self.sent
  if age then self.born = socket.gettime() - age end
  return 1
end

function Connection:setdane() return error('dane is not supported: compare the fingerprints of getpeercertificate() yourself', 2) end
Connection.settlsa = Connection.setdane

metatable.__index = Connection
metatable.__tostring = function(conn) return 'SSL connection: ' .. conn.id .. (conn.state == 'closed' and ' (closed)' or '') end
metatable.__close = Connection.close
for name, f in pairs(metatable) do collected[name] = f end
collected.__gc = Connection.close

return core
