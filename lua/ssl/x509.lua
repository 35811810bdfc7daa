-- Certificates, with LuaSec's methods.
local tls = require 'mbedtls.ssl'

local x509 = {}
local Certificate = {}

local months = { 'Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec' }

-- A time as OpenSSL prints it. %b would be in the language of the program's locale.
local function clock(time)
  local t = os.date('!*t', time)
  return ('%s %2d %02d:%02d:%02d %d GMT'):format(months[t.month], t.day, t.hour, t.min, t.sec, t.year)
end

-- new(fields): a certificate, of a table of ssl.certificate or ctx:peerchain().
function x509.new(fields)
  local id = tostring(fields):match '0x%x+' or fields.sha256:sub(1, 12)
  return setmetatable({ fields = fields }, {
    __index = Certificate,
    __tostring = function() return 'X509 certificate: ' .. id end,
  })
end

-- load(text): a certificate of PEM, or nil.
function x509.load(text)
  if type(text) ~= 'string' then error("bad argument #1 to 'load' (string expected, got " .. type(text) .. ')', 2) end
  local block = text:match '%-%-%-%-%-BEGIN CERTIFICATE%-%-%-%-%-.-%-%-%-%-%-END CERTIFICATE%-%-%-%-%-'
  if not block then return nil end
  local ok, fields = pcall(tls.certificate, block .. '\n')
  if ok then return x509.new(fields) end
end

local function copy(list)
  local out = {}
  for i, part in ipairs(list) do out[i] = { oid = part.oid, name = part.name, value = part.value } end
  return out
end

function Certificate:subject() return copy(self.fields.subjectnames) end
function Certificate:issuer() return copy(self.fields.issuernames) end
function Certificate:pem() return self.fields.pem end
function Certificate:notbefore() return clock(self.fields.notbeforetime) end
function Certificate:notafter() return clock(self.fields.notaftertime) end

function Certificate:validat(time)
  if type(time) ~= 'number' then error("bad argument #1 to 'validat' (number expected, got " .. type(time) .. ')', 2) end
  return self.fields.notbeforetime <= time and time <= self.fields.notaftertime
end

function Certificate:serial()
  local sign, digits = self.fields.serial:upper():match '^(%-?)(.*)$'
  if digits == '0' then return '0' end
  return sign .. (#digits % 2 == 1 and '0' or '') .. digits
end

local digests = { sha1 = true, sha256 = true, sha512 = true }

function Certificate:digest(kind)
  kind = kind or 'sha1'
  if not digests[kind] then return nil, ('digest algorithm not supported (%s)'):format(tostring(kind)) end
  return self.fields[kind]
end

local key_types = { RSA = 'RSA', EC = 'EC' }

function Certificate:pubkey()
  return self.fields.pubkey, key_types[self.fields.keytype] or 'Unknown', self.fields.keybits
end

-- Texts are always UTF-8.
function Certificate:setencode(encode)
  return type(encode) == 'string' and (encode:sub(1, 3) == 'ai5' or encode:sub(1, 4) == 'utf8')
end

local signatures = {
  ['MD5-RSA'] = 'RSA-MD5', ['SHA1-RSA'] = 'RSA-SHA1', ['SHA256-RSA'] = 'RSA-SHA256', ['SHA384-RSA'] = 'RSA-SHA384',
  ['SHA512-RSA'] = 'RSA-SHA512', ['SHA256-RSAPSS'] = 'RSASSA-PSS', ['SHA384-RSAPSS'] = 'RSASSA-PSS', ['SHA512-RSAPSS'] = 'RSASSA-PSS',
  ['ECDSA-SHA1'] = 'ecdsa-with-SHA1', ['ECDSA-SHA256'] = 'ecdsa-with-SHA256', ['ECDSA-SHA384'] = 'ecdsa-with-SHA384',
  ['ECDSA-SHA512'] = 'ecdsa-with-SHA512', Ed25519 = 'ED25519',
}

function Certificate:getsignaturename() return signatures[self.fields.signature] or self.fields.signature end

-- Go's reasons in OpenSSL's words, which programs compare.
local reasons = {
  { 'is after', 'certificate has expired' },
  { 'is before', 'certificate is not yet valid' },
  { 'incompatible key usage', 'unsuitable certificate purpose' },
  { 'is revoked', 'certificate revoked' },
  { 'no CRL of', 'unable to get certificate CRL' },
  { 'the CRL of .* has expired', 'CRL has expired' },
  { 'too many intermediates', 'path length constraint exceeded' },
  { "option 'depth'", 'certificate chain too long' },
}

-- explain(err, chain): why a chain of tables does not verify, as OpenSSL says it, and at which depth.
function x509.explain(err, chain)
  local last = chain[#chain]
  if err:find 'unknown authority' or err:find 'not authorized to sign' then
    if last.subject ~= last.issuer then return 'unable to get local issuer certificate', #chain end
    return #chain == 1 and 'self-signed certificate' or 'self-signed certificate in certificate chain', #chain
  end
  for _, reason in ipairs(reasons) do
    if err:find(reason[1]) then return reason[2], 1 end
  end
  return err, 1
end

function Certificate:issued(subject, ...)
  local chain, fields = {}, {}
  for i, certificate in ipairs { subject, ... } do
    if type(certificate) ~= 'table' or not certificate.fields then
      error(("bad argument #%d to 'issued' (certificate expected, got %s)"):format(i, type(certificate)), 2)
    end
    chain[i], fields[i] = certificate.fields.pem, certificate.fields
  end
  if #chain == 0 then error("bad argument #1 to 'issued' (certificate expected, got no value)", 2) end
  local ok, err = tls.verifychain(table.concat(chain), self.fields.pem)
  if ok then return true end
  return nil, (x509.explain(err, fields))
end

-- DER (X.690): the tag and the content of the element at i, and where the next begins; or nil.
local function element(der, i)
  local tag, length = der:byte(i, i + 1)
  if not length then return nil end
  i = i + 2
  if length >= 128 then
    local bytes = length - 128
    if bytes == 0 or bytes > 4 or i + bytes > #der + 1 then return nil end
    length = 0
    for j = i, i + bytes - 1 do length = length * 256 + der:byte(j) end
    i = i + bytes
  end
  if i + length > #der + 1 then return nil end
  return tag, der:sub(i, i + length - 1), i + length
end

-- An iterator over the elements of a content.
local function elements(der)
  local i = 1
  return function()
    local tag, content, after = element(der, i)
    if not tag then return nil end
    i = after
    return tag, content
  end
end

local function oid_text(der)
  local parts, n = {}, 0
  for i = 1, #der do
    local b = der:byte(i)
    n = n * 128 + b % 128
    if b < 128 then
      if #parts == 0 then
        local first = n < 80 and math.floor(n / 40) or 2
        parts[1], parts[2] = ('%d'):format(first), ('%d'):format(n - 40 * first)
      else
        parts[#parts + 1] = ('%d'):format(n)
      end
      n = 0
    end
  end
  return table.concat(parts, '.')
end

-- The types of otherName, in OpenSSL's words.
local other_names = {
  ['1.3.6.1.5.5.7.8.5'] = 'XmppAddr', ['1.3.6.1.5.5.7.8.7'] = 'SRVName', ['1.3.6.1.5.5.7.8.9'] = 'Smtp UTF8 Mailbox',
  ['1.3.6.1.4.1.311.20.2.3'] = 'Microsoft User Principal Name',
}

local function other_name(names, content)
  local next_element = elements(content)
  local tag, id = next_element()
  local wrapper, value = next_element()
  local _, text = element(value or '', 1)
  if tag ~= 0x06 or wrapper ~= 0xa0 or not text then return end
  local oid = oid_text(id)
  names[oid] = names[oid] or { name = other_names[oid] or oid }
  table.insert(names[oid], text)
end

local kinds = { [0x81] = 'rfc822Name', [0x82] = 'dNSName', [0x86] = 'uniformResourceIdentifier' }

-- The subject's alternative names, by kind (RFC 5280, Section 4.2.1.6). A parser of certificates has
-- accepted them: what is not one of the kinds is left out, as in LuaSec.
local function alternative_names(der, ips)
  local names = { name = 'X509v3 Subject Alternative Name' }
  local _, list = element(der, 1)
  for tag, content in elements(list or '') do
    local kind = kinds[tag]
    if tag == 0xa0 then
      other_name(names, content)
    elseif kind then
      names[kind] = names[kind] or {}
      table.insert(names[kind], content)
    end
  end
  if #ips > 0 then names.iPAddress = ips end
  return names
end

function Certificate:extensions()
  local found = {}
  for _, extension in ipairs(self.fields.extensions) do
    if extension.oid == '2.5.29.17' then
      local ips = {}
      for i, ip in ipairs(self.fields.ips) do ips[i] = ip end
      found[extension.oid] = alternative_names(extension.value, ips)
    end
  end
  return found
end

return x509
