-- OpenSSL's names of cipher suites and groups, and its cipher strings, for what there is.
local ciphers = {}

-- What SSL_CIPHER_description says of each suite, and its registered name.
local function row(openssl, registered, protocol, key, authentication, encryption, bits)
  return {
    openssl = openssl, registered = registered, protocol = protocol, key = key,
    authentication = authentication, encryption = encryption, bits = bits,
  }
end

local v12, v13 = 'TLSv1.2', 'TLSv1.3'

local all = {
  row('TLS_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256', v13, 'any', 'any', 'AESGCM(128)', 128),
  row('TLS_AES_256_GCM_SHA384', 'TLS_AES_256_GCM_SHA384', v13, 'any', 'any', 'AESGCM(256)', 256),
  row('TLS_CHACHA20_POLY1305_SHA256', 'TLS_CHACHA20_POLY1305_SHA256', v13, 'any', 'any', 'CHACHA20/POLY1305(256)', 256),
  row('TLS_AES_128_CCM_SHA256', 'TLS_AES_128_CCM_SHA256', v13, 'any', 'any', 'AESCCM(128)', 128),
  row('TLS_AES_128_CCM_8_SHA256', 'TLS_AES_128_CCM_8_SHA256', v13, 'any', 'any', 'AESCCM8(128)', 128),
}

for _, authentication in ipairs { 'ECDSA', 'RSA' } do
  local function add(cipher, registered, encryption, bits)
    all[#all + 1] = row('ECDHE-' .. authentication .. '-' .. cipher, 'TLS_ECDHE_' .. authentication .. '_WITH_' .. registered,
      v12, 'ECDH', authentication, encryption, bits)
  end
  add('AES128-GCM-SHA256', 'AES_128_GCM_SHA256', 'AESGCM(128)', 128)
  add('AES256-GCM-SHA384', 'AES_256_GCM_SHA384', 'AESGCM(256)', 256)
  add('CHACHA20-POLY1305', 'CHACHA20_POLY1305_SHA256', 'CHACHA20/POLY1305(256)', 256)
  if authentication == 'ECDSA' then
    add('AES128-CCM', 'AES_128_CCM', 'AESCCM(128)', 128)
    add('AES256-CCM', 'AES_256_CCM', 'AESCCM(256)', 256)
    add('AES128-CCM8', 'AES_128_CCM_8', 'AESCCM8(128)', 128)
    add('AES256-CCM8', 'AES_256_CCM_8', 'AESCCM8(256)', 256)
  end
end

-- By either name.
local known = {}
for _, suite in ipairs(all) do known[suite.openssl], known[suite.registered] = suite, suite end

-- The suite of a registered or OpenSSL's name, or nil.
function ciphers.find(name) return known[name] end

-- The names of a protocol's suites that are used if nothing else is said: not those with CCM.
function ciphers.default(protocol)
  local names = {}
  for _, suite in ipairs(all) do
    if suite.protocol == protocol and not suite.encryption:find 'CCM' then names[#names + 1] = suite.registered end
  end
  return names
end

-- What the keywords of cipher strings select. Those that select nothing here are not in it.
local function always() return true end
local function by(field, text)
  return function(suite) return suite[field]:sub(1, #text) == text end
end

local keywords = {
  ALL = always, DEFAULT = always, HIGH = always, FIPS = by('encryption', 'AES'), ['TLSv1.2'] = always,
  ECDHE = always, EECDH = always, kECDHE = always, kEECDH = always, ECDH = always, aRSA = by('authentication', 'RSA'),
  aECDSA = by('authentication', 'ECDSA'), ECDSA = by('authentication', 'ECDSA'),
  AES = by('encryption', 'AES'), AESGCM = by('encryption', 'AESGCM'), AESCCM = by('encryption', 'AESCCM'),
  AESCCM8 = by('encryption', 'AESCCM8'), CHACHA20 = by('encryption', 'CHACHA20'),
  AES128 = function(suite) return suite.bits == 128 end,
  AES256 = function(suite) return suite.bits == 256 and suite.encryption:find('AES', 1, true) ~= nil end,
}
local later = { ['@STRENGTH'] = true, ['@SECLEVEL'] = true }

-- Whether a suite is what KEYWORD+KEYWORD… selects.
local function selects(words, suite)
  if words == suite.openssl or words == suite.registered then return true end
  for word in words:gmatch '[^+]+' do
    local keyword = keywords[word]
    if not keyword or not keyword(suite) then return false end
  end
  return true
end

-- Takes the selected suites out of a list, and returns them.
local function extract(list, words)
  local out = {}
  for i = #list, 1, -1 do
    if selects(words, list[i]) then table.insert(out, 1, table.remove(list, i)) end
  end
  return out
end

local function append(list, more)
  for _, suite in ipairs(more) do list[#list + 1] = suite end
end

-- By how many bits the key has, most first; otherwise in order.
local function strongest(list)
  local sorted = {}
  for _, bits in ipairs { 256, 128 } do
    for _, suite in ipairs(list) do
      if suite.bits == bits then sorted[#sorted + 1] = suite end
    end
  end
  return sorted
end

-- Registered names of the TLS 1.2 suites that a cipher string selects, or nil.
function ciphers.parse(text)
  local rest, chosen = {}, {}
  for _, suite in ipairs(all) do
    if suite.protocol == v12 then rest[#rest + 1] = suite end
  end
  for token in text:gmatch '[^:, ;]+' do
    local sign, words = token:match '^([!+-]?)(.*)$'
    if later[token:match '^@%u+'] then
      if token == '@STRENGTH' then chosen = strongest(chosen) end
    elseif sign == '!' then
      extract(rest, words)
      extract(chosen, words)
    elseif sign == '-' then
      append(rest, extract(chosen, words))
    elseif sign == '+' then
      append(chosen, extract(chosen, words))
    elseif words == 'ALL' or words == 'DEFAULT' or words == 'HIGH' then -- without the short tags of CCM_8
      local more = extract(rest, words)
      for i = #more, 1, -1 do
        if more[i].encryption:find 'CCM8' then table.insert(rest, table.remove(more, i)) end
      end
      append(chosen, more)
    else
      append(chosen, extract(rest, words))
    end
  end
  local names = {}
  for _, suite in ipairs(chosen) do names[#names + 1] = suite.registered end
  if #names > 0 then return names end
end

-- Registered names of a list of TLS 1.3 suites, or nil and the name that is unknown.
function ciphers.suites(text)
  local names = {}
  for name in text:gmatch '[^:]+' do
    local suite = known[name]
    if not suite or suite.protocol ~= v13 then return nil, name end
    names[#names + 1] = suite.registered
  end
  if #names == 0 then return nil, text end
  return names
end

-- The names of groups, in OpenSSL's words and others', and ours.
local groups = {
  ['P-256'] = 'P-256', prime256v1 = 'P-256', secp256r1 = 'P-256',
  ['P-384'] = 'P-384', secp384r1 = 'P-384', ['P-521'] = 'P-521', secp521r1 = 'P-521',
  X25519 = 'X25519', x25519 = 'X25519',
  X25519MLKEM768 = 'X25519MLKEM768', SecP256r1MLKEM768 = 'SecP256r1MLKEM768', SecP384r1MLKEM1024 = 'SecP384r1MLKEM1024',
}

-- The names of groups that LuaSec's config.curves has.
function ciphers.curves()
  local set = {}
  for name in pairs(groups) do set[name] = true end
  return set
end

-- A list of our names of groups, or nil and the name that is unknown.
function ciphers.groups(text)
  local names, seen = {}, {}
  for name in text:gmatch '[^:]+' do
    local group = groups[name]
    if not group then return nil, name end
    if not seen[group] then names[#names + 1] = group end
    seen[group] = true
  end
  if #names == 0 then return nil, text end
  return names
end

return ciphers
