---@meta mbedtls.ssl

-- Annotations of LuaCATS, for editors: docs/lua.md says what each means.

---@class mbedtls.ssl
---@field version string
local ssl = {}

---@class mbedtls.ssl.config

---@class mbedtls.ssl.options
---@field mode 'tls-client'|'tls-server'|'dtls-client'|'dtls-server'
---@field cacert? string a file, or PEM
---@field capath? string
---@field crl? string|string[]
---@field cert? string a file, or PEM
---@field key? string
---@field password? string
---@field certs? { cert: string, key: string?, password: string? }[]
---@field hostname? string
---@field verify? boolean|'required'|'chain'|'optional'|'request'|'require-any'|'none'|fun(info: mbedtls.ssl.info): boolean?, string?
---@field depth? integer
---@field purpose? 'any'
---@field servername? fun(hello: mbedtls.ssl.hello): boolean|mbedtls.ssl.config|nil, string?
---@field versions? '1.2'|'1.3'|string[]
---@field alpn? string|string[]|fun(hello: mbedtls.ssl.hello): string|false|nil
---@field groups? string|string[]
---@field keyshares? string|string[]
---@field ciphers? string|string[]
---@field signatures? string|string[]
---@field policy? 'fips'|'wpa3'|'cnsa1'|'cnsa2'
---@field ocsp? 'stapled'|'must-staple'|'require'
---@field readahead? boolean
---@field recordsize? integer
---@field recordlimit? integer
---@field maxfragment? 512|1024|2048|4096
---@field compression? 'zlib'|'brotli'|'zstd'|string[]
---@field mtu? integer
---@field cid? integer
---@field srtp? string|string[]
---@field cookiesecret? string
---@field psk? { identity: string, key: string, import: boolean?, context: string? }
---@field sessions? integer|boolean
---@field session? string
---@field earlydata? boolean|integer
---@field tickets? boolean
---@field ticketcount? integer
---@field ticketlifetime? integer
---@field ticketkeys? string|string[]
---@field keylog? string

---@class mbedtls.ssl.hello
---@field mode string
---@field hostname string?
---@field alpn string[]

---@class mbedtls.ssl.info
---@field mode string
---@field complete boolean
---@field resumed boolean
---@field version string?
---@field suite string?
---@field group string?
---@field alpn string?
---@field hostname string?
---@field psk string?
---@field tlsunique string?
---@field compression "brotli"|"zstd"|"zlib"|nil
---@field peercompression "brotli"|"zstd"|"zlib"|nil
---@field signature string?
---@field srtp string?
---@field early 'accepted'|'rejected'|nil
---@field peer { subject: string, issuer: string, serial: string, notbefore: string, notafter: string, sha256: string, pem: string }?

---@class mbedtls.ssl.certificate
---@field subject string
---@field issuer string
---@field subjectnames { oid: string, name: string, value: string }[]
---@field issuernames { oid: string, name: string, value: string }[]
---@field serial string
---@field version integer
---@field notbefore string
---@field notafter string
---@field notbeforetime integer
---@field notaftertime integer
---@field sha1 string
---@field sha256 string
---@field sha512 string
---@field signature string
---@field keytype string
---@field keybits integer
---@field pubkey string
---@field ca boolean
---@field dnsnames string[]
---@field emails string[]
---@field ips string[]
---@field uris string[]
---@field extensions { oid: string, critical: boolean, value: string }[]
---@field pem string

---@param options mbedtls.ssl.options
---@return mbedtls.ssl.config
---@overload fun(mode: string, cacert?: string, cert?: string): mbedtls.ssl.config
function ssl.newconfig(options) end

---@param cfg mbedtls.ssl.config
---@param rcb function
---@param wcb function
---@param ref any
---@return mbedtls.ssl.context
function ssl.newcontext(cfg, rcb, wcb, ref) end

---@param cfg mbedtls.ssl.config
---@return mbedtls.ssl.context
function ssl.newengine(cfg) end

---@param text string PEM or DER
---@return mbedtls.ssl.certificate
function ssl.certificate(text) end

---@param chain string
---@param authorities string
---@return true? ok
---@return string? why
function ssl.verifychain(chain, authorities) end

---@param peerid string
---@return string
function ssl.getcookie(peerid) end

---@param peerid string
---@param cookie string
---@return boolean
function ssl.checkcookie(peerid, cookie) end

---@param release '0.1'|'0.2'
function ssl.compat(release) end

---@class mbedtls.ssl.context
local context = {}

---@return true? done
---@return any err
function context:handshake() end

---@param size integer
---@return string? data
---@return any err
function context:read(size) end

---@param data string
---@param pos? integer
---@param len? integer
---@return integer? written
---@return any err
function context:write(data, pos, len) end

---@param size integer
---@return string? data
---@return any err
function context:readearly(size) end

---@param data string
---@param pos? integer
---@param len? integer
---@return integer? written
---@return any err
function context:writeearly(data, pos, len) end

---@return true? done
---@return any err
function context:close() end

---@return true? done
---@return any err
function context:closenotify() end

function context:reset() end

---@param rcb function
---@param wcb function
---@param ref any
function context:setbio(rcb, wcb, ref) end

---@param data string
---@return true? taken
---@return string? err
function context:feed(data) end

---@return string
function context:drain() end

---@return 'nothing'|'read'|'write'|'answer'
function context:want() end

---@return integer
function context:pending() end

---@param peerid string
function context:setpeerid(peerid) end

---@param name string?
function context:sethostname(name) end

---@return number? seconds
function context:gettimeout() end

---@return mbedtls.ssl.info
function context:info() end

---@return mbedtls.ssl.certificate[]?
function context:peerchain() end

---@param name? string
---@return true? ok
---@return string? why
function context:verifypeer(name) end

---@return string?
function context:getsession() end

---@param text string
function context:setsession(text) end

---@param label string
---@param context string?
---@param len integer
---@return string? secret
---@return string? err
function context:export(label, context, len) end

return ssl
