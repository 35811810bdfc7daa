-- A test is a function in a table; what it asserts, it asserts with error().
-- Each prints one line: "ok NAME", "skip NAME: why" or "not ok NAME: what".
local harness = {}

local skipped = {}

function harness.skip(why) error(setmetatable({ why = why }, skipped), 0) end

local function show(v)
  if type(v) == 'string' then
    if #v > 60 then v = v:sub(1, 60) .. '…' end
    return string.format('%q', v):gsub('\n', 'n')
  end
  return tostring(v)
end

function harness.same(got, want, what)
  if got ~= want and not (got ~= got and want ~= want) then
    error((what or 'got') .. ' is ' .. show(got) .. ', want ' .. show(want), 2)
  end
end

-- results(a, b, …)(f(…)): exactly these results, and no more.
function harness.results(...)
  local want, n = { ... }, select('#', ...)
  return function(...)
    local got = {}
    for i = 1, select('#', ...) do got[i] = show((select(i, ...))) end
    local have = '(' .. table.concat(got, ', ') .. ')'
    if select('#', ...) ~= n then error(have .. ': want ' .. n .. ' results', 2) end
    for i = 1, n do
      if select(i, ...) ~= want[i] then
        error(have .. ': result ' .. i .. ' is not ' .. show(want[i]), 2)
      end
    end
  end
end

-- throws(text, f, …): f(…) raises an error that has the text in it.
function harness.throws(text, f, ...)
  local ok, err = pcall(f, ...)
  if ok then error('no error, want ' .. show(text), 2) end
  if type(err) ~= 'string' or not err:find(text, 1, true) then
    error('error is ' .. show(err) .. ', want ' .. show(text), 2)
  end
end

-- fails(f(…)): nil and a text that is none of the non-fatal errors.
local mild = { ['want-read'] = true, ['want-write'] = true, closed = true,
  ['close-notify'] = true, ['invalid operation'] = true,
  ['invalid read result'] = true, ['invalid write result'] = true }

function harness.fails(...)
  local result, err = ...
  if result ~= nil or type(err) ~= 'string' or mild[err] or select('#', ...) ~= 2 then
    error('(' .. show(result) .. ', ' .. show(err) .. '): want a fatal error', 2)
  end
  if err:find('[\r\n]') then error('an error of several lines: ' .. show(err), 2) end
  return err
end

function harness.run(tests)
  local names = {}
  for name in pairs(tests) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local ok, err = pcall(tests[name])
    if ok then
      print('ok ' .. name)
    elseif getmetatable(err) == skipped then
      print('skip ' .. name .. ': ' .. err.why)
    else
      print('not ok ' .. name .. ': ' .. tostring(err):gsub('\n', ' '))
    end
  end
end

-- What the machine that runs this can do.
harness.gopher = os.getenv('HERMETIC_TEST_LUA') == 'gopher'
harness.jit = rawget(_G, 'jit') ~= nil
harness.version = tonumber(_VERSION:match('%d+%.%d+'))
harness.yields = harness.version > 5.1 and not harness.gopher

function harness.file(name) return os.getenv('HERMETIC_TEST_FILES') .. '/' .. name end

function harness.content(name)
  local f = assert(io.open(harness.file(name), 'rb'))
  local text = f:read('*a')
  f:close()
  return text
end

return harness
