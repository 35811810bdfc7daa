-- ssl.https, and LuaSocket's http over it, against a server of another library.
local h, t = require 'harness', require 'sockets'
local http, ltn12 = require 'socket.http', require 'ltn12'
local https = require 'ssl.https'

local tests = {}

local base, plain = os.getenv 'HERMETIC_TEST_URL', os.getenv 'HERMETIC_TEST_PLAIN_URL'

-- A request in its table form, and what came.
local function fetch(request)
  local parts = {}
  request.sink = ltn12.sink.table(parts)
  local result, code, headers, status = https.request(request)
  return table.concat(parts), result, code, headers, status
end

tests['GET'] = function()
  local body, code, headers, status = https.request(base .. '/hello')
  h.same(body, 'hello')
  h.same(code, 200)
  h.same(headers['content-type'], 'text/plain')
  assert(status:find '^HTTP/1.1 200')
end

tests['POST'] = function()
  local body, code = https.request(base .. '/echo', 'a=1&b=2')
  h.same(code, 200)
  h.same(body, 'POST application/x-www-form-urlencoded a=1&b=2')
end

tests['a request in a table'] = function()
  local body, result, code = fetch { url = base .. '/echo', method = 'PUT', headers = { ['content-type'] = 'text/x', ['content-length'] = 4 },
    source = ltn12.source.string 'data' }
  h.same(result, 1)
  h.same(code, 200)
  h.same(body, 'PUT text/x data')
end

tests['a long answer, and one in chunks'] = function()
  h.same(#https.request(base .. '/long'), 1000000)
  h.same(https.request(base .. '/chunks'), 'one two three ')
end

tests['the server is verified if that is asked for'] = function()
  local body = fetch { url = base .. '/hello', verify = 'peer', cafile = h.file 'ca.pem' }
  h.same(body, 'hello')
  local _, result, err = fetch { url = base .. '/hello', verify = 'peer', cafile = h.file 'otherca.pem' }
  h.same(result, nil)
  h.same(err, 'certificate verify failed')
  local _, _, code = fetch { url = base .. '/hello', protocol = 'tlsv1_2' }
  h.same(code, 200)
end

tests['what is not permitted'] = function()
  h.results(nil, 'proxy not supported')(https.request { url = base, proxy = 'http://127.0.0.1:1' })
  h.results(nil, 'redirect not supported')(https.request { url = base, redirect = true })
  h.results(nil, 'create function not permitted')(https.request { url = base, create = function() end })
  http.PROXY = 'http://127.0.0.1:1'
  h.results(nil, 'proxy not supported')(https.request(base))
  http.PROXY = nil
end

tests['redirections'] = function()
  h.same(https.request(base .. '/absolute'), 'hello')
  if t.original then h.skip 'LuaSocket follows no others' end
  h.same(https.request(base .. '/relative'), 'hello')
  h.same(https.request(base .. '/permanent'), 'hello')
  local body, result, code = fetch { url = base .. '/absolute', redirect = false }
  h.same(result, 1)
  h.same(code, 302)
  h.same(body, 'elsewhere')
  body, _, code = fetch { url = base .. '/loop', maxredirects = 3 }
  h.same(code, 302)
  h.same(body, 'again')
  body, _, code = fetch { url = base .. '/relative', method = 'POST', headers = { ['content-length'] = 0 }, source = ltn12.source.empty() }
  h.same(code, 302)
  h.same(body, 'elsewhere')
end

tests['no redirection to http, unless it is permitted'] = function()
  local body, code, headers = https.request(base .. '/down')
  h.same(code, 302)
  h.same(body, 'elsewhere')
  h.same(headers.location, plain .. '/hello')
  if t.original then return end
  h.same(fetch { url = base .. '/down', unsaferedirect = true }, 'plain hello')
end

tests['another host gets no credentials'] = function()
  if t.original then h.skip 'LuaSocket sends them' end
  local headers = { Authorization = 'secret', Cookie = 'secret', ['x-other'] = 'kept' }
  h.same(fetch { url = base .. '/same', headers = headers }, 'secret secret kept')
  h.same(fetch { url = base .. '/other', headers = headers }, '  kept')
end

tests['an http address is not fetched in the clear'] = function()
  local result, err = https.request(plain .. '/hello')
  h.same(result, nil)
  assert(err ~= nil)
end

tests['LuaSocket\'s http finds it by itself'] = function()
  local body, code = http.request(base .. '/hello')
  h.same(code, 200)
  h.same(body, 'hello')
  local parts = {}
  local result, status = http.request { url = base .. '/hello', create = https.tcp { verify = 'peer', cafile = h.file 'ca.pem' },
    sink = ltn12.sink.table(parts) }
  h.same(result, 1)
  h.same(status, 200)
  h.same(table.concat(parts), 'hello')
end

tests['nobody there'] = function()
  local result, err = https.request 'https://127.0.0.1:1/'
  h.same(result, nil)
  h.same(err, 'connection refused')
end

h.run(tests)
