-- The annotations in meta/ have every function that there is, and no other.
local h, t = require 'harness', require 'sockets'
local ssl = require 'ssl'

local tests = {}

local function annotated(file)
  local f = assert(io.open('../meta/' .. file))
  local text = f:read '*a'
  f:close()
  assert(load and (loadstring or load)(text, file)) -- it is Lua
  return text
end

-- The names of a table's functions are those that a file annotates for a variable.
local function compare(text, variable, functions)
  local found = {}
  for name in text:gmatch('\nfunction ' .. variable .. '[.:]([%w_]+)%(') do
    found[name] = true
    if type(functions[name]) ~= 'function' then error(variable .. ' has no ' .. name, 2) end
  end
  for name, value in pairs(functions) do
    if type(value) == 'function' and not found[name] then error(variable .. '.' .. name .. ' is not annotated', 2) end
  end
end

tests['ssl'] = function()
  if t.original then h.skip 'they are of ours' end
  local text = annotated 'ssl.lua'
  compare(text, 'ssl', ssl)
  compare(text, 'connection', getmetatable((t.pair())).__index)
  compare(text, 'certificate', getmetatable(ssl.loadcertificate(h.content 'server.crt')).__index)
  compare(text, 'context', getmetatable(ssl.newcontext(t.client())).__index)
end

tests['ssl.https'] = function()
  if t.original then h.skip 'it is ours' end
  compare(annotated 'ssl/https.lua', 'https', require 'ssl.https')
end

tests['the options of ssl'] = function()
  local text, refused, count = annotated 'ssl.lua', { dhparam = true, dane = true }, 0
  local f = assert(io.open '../ssl.lua')
  for name in f:read '*a':gmatch '%f[%w]cfg%.(%w+)' do
    if not refused[name] and not text:find('---@field ' .. name .. '%f[^%w]') then error(name .. ' is not annotated') end
    count = count + 1
  end
  f:close()
  assert(count > 15)
end

tests['mbedtls.ssl'] = function()
  if t.original then h.skip 'it is ours' end
  local tls = require 'mbedtls.ssl'
  local text = annotated 'mbedtls/ssl.lua'
  compare(text, 'ssl', tls)
  local engine = tls.newengine(tls.newconfig 'tls-client')
  local methods = {}
  for name in text:gmatch '\nfunction context:([%w_]+)%(' do methods[name] = engine[name] end
  compare(text, 'context', methods)
end

h.run(tests)
