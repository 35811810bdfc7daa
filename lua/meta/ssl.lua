---@meta ssl

-- Annotations of LuaCATS for the module in the place of LuaSec.

---@class ssl
---@field _VERSION string
---@field _COPYRIGHT string
---@field config table<string, table<string, boolean>>
local ssl = {}

---@class ssl.context
local context = {}

---@class ssl.params
---@field mode 'client'|'server'
---@field protocol 'any'|'tlsv1_2'|'tlsv1_3'|'sslv23'
---@field key? string
---@field certificate? string
---@field password? string|fun(): string
---@field certificates? { certificate: string, key: string, password: string|nil }[]
---@field cafile? string
---@field capath? string
---@field verify? string|string[]
---@field verifyext? string|string[]
---@field depth? integer
---@field options? string|string[]
---@field ciphers? string
---@field ciphersuites? string
---@field curve? string
---@field curveslist? string
---@field alpn? string|string[]|fun(names: string[]): string|string[]|nil
---@field checkname? boolean
---@field more? mbedtls.ssl.options

---@param cfg ssl.params
---@return ssl.context?
---@return string? err
function ssl.newcontext(cfg) end

---@param sock table a socket of LuaSocket
---@param cfg ssl.context|ssl.params
---@return ssl.connection?
---@return string? err
function ssl.wrap(sock, cfg) end

---@param text string PEM
---@return ssl.certificate?
function ssl.loadcertificate(text) end

---@param ... string
---@return boolean ok
---@return string? err
function context:setverifyext(...) end

---@class ssl.connection
local connection = {}

---@return boolean ok
---@return string? err
---@return string? details
function connection:dohandshake() end

---@param pattern? '*l'|'*a'|integer
---@param prefix? string
---@return string? data
---@return string? err
---@return string? partial
function connection:receive(pattern, prefix) end

---@param data string
---@param from? integer
---@param to? integer
---@return integer? last
---@return string? err
---@return integer? sent
function connection:send(data, from, to) end

function connection:close() end

---@param seconds number?
---@param mode? 'b'|'t'
---@return 1
function connection:settimeout(seconds, mode) end

---@return integer
function connection:getfd() end

---@return boolean
function connection:dirty() end

---@return 'nothing'|'read'|'write'|'x509lookup'
function connection:want() end

---@param names string|table<string, ssl.context>
---@param strict? boolean
function connection:sni(names, strict) end

---@return string?
function connection:getsniname() end

---@return string?
function connection:getalpn() end

---@param n? integer
---@return ssl.certificate?
---@return string? err
function connection:getpeercertificate(n) end

---@return ssl.certificate[]?
---@return string? err
function connection:getpeerchain() end

---@return boolean ok
---@return string|table<integer, string[]>|nil why
function connection:getpeerverification() end

---@return string? unique
---@return string? err
function connection:getfinished() end

---@return string? unique
---@return string? err
function connection:getpeerfinished() end

---@param label string
---@param length integer
---@param context? string
---@return string? secret
---@return string? err
function connection:exportkeyingmaterial(label, length, context) end

---@return integer received
---@return integer sent
---@return number age
function connection:getstats() end

---@param received? integer
---@param sent? integer
---@param age? number
---@return 1
function connection:setstats(received, sent, age) end

---@param field? string
---@return any
---@return string? err
function connection:info(field) end

---@deprecated DANE is not supported
function connection:setdane() end

---@deprecated DANE is not supported
function connection:settlsa() end

---@class ssl.certificate
local certificate = {}

---@return { oid: string, name: string, value: string }[]
function certificate:subject() end

---@return { oid: string, name: string, value: string }[]
function certificate:issuer() end

---@return string
function certificate:pem() end

---@return string
function certificate:notbefore() end

---@return string
function certificate:notafter() end

---@param time integer
---@return boolean
function certificate:validat(time) end

---@return string
function certificate:serial() end

---@param kind? 'sha1'|'sha256'|'sha512'
---@return string?
---@return string? err
function certificate:digest(kind) end

---@return string pem
---@return string kind
---@return integer bits
function certificate:pubkey() end

---@param encode 'ai5'|'utf8'
---@return boolean
function certificate:setencode(encode) end

---@return string
function certificate:getsignaturename() end

---@param subject ssl.certificate
---@param ... ssl.certificate
---@return true? ok
---@return string? why
function certificate:issued(subject, ...) end

---@return table<string, table>
function certificate:extensions() end

return ssl
