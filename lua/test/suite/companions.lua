-- mbedtls.md and mbedtls.base64.
local h = require 'harness'
local md, base64 = require 'mbedtls.md', require 'mbedtls.base64'

local tests = {}

-- RFC 1320, RFC 1321, FIPS 180-4, the RIPEMD-160 paper: digests of "abc".
local digests = {
  MD4 = 'a448017aaf21d8525fc10ae87aa6729d',
  MD5 = '900150983cd24fb0d6963f7d28e17f72',
  SHA1 = 'a9993e364706816aba3e25717850c26c9cd0d89d',
  SHA = 'a9993e364706816aba3e25717850c26c9cd0d89d',
  SHA224 = '23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7',
  SHA256 = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  SHA384 = 'cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7',
  SHA512 = 'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a' ..
    '2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
  RIPEMD160 = '8eb208f7e05d987a9b044a8e98c6b087f15a0bfc',
}

local function hex(s) return (s:gsub('.', function(c) return ('%02x'):format(c:byte()) end)) end

tests['hash: every type'] = function()
  for type, want in pairs(digests) do
    h.results(want)(md.hash(type, 'abc'))
    h.same(hex(md.hash(type, 'abc', true)), want)
    h.same(hex(md.hash(type, 'abc', 0)), want)
    h.same(md.hash(type, 'abc', false), want)
  end
  h.same(md.hash('MD5', ''), 'd41d8cd98f00b204e9800998ecf8427e')
  h.same(md.hash('MD5', 12), md.hash('MD5', '12'))
end

tests['hmac'] = function()
  -- RFC 2202 and RFC 4231, test case 2
  h.results('750c783e6ab0b503eaa86e310a5db738')(md.hmac('MD5', 'Jefe', 'what do ya want for nothing?'))
  h.same(md.hmac('SHA1', 'Jefe', 'what do ya want for nothing?'), 'effcdf6ae5eb2fa2d27416d5f184df9c259a7c79')
  h.same(md.hmac('SHA256', 'Jefe', 'what do ya want for nothing?'),
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843')
  h.same(hex(md.hmac('SHA1', ('k'):rep(200), '', true)), md.hmac('SHA1', ('k'):rep(200), ''))
end

tests['hash and hmac: arguments'] = function()
  for _, bad in ipairs { 'MD2', 'md5', 'sha256', '', 'SHA3', 'MD5 ' } do
    h.throws('invalid value', md.hash, bad, '')
    h.throws('invalid value', md.hmac, bad, '', '')
  end
  h.throws('string expected', md.hash)
  h.throws('string expected', md.hash, 'MD5')
  h.throws('string expected', md.hash, 'MD5', {})
  h.throws('string expected', md.hmac, 'MD5', 'key')
  h.throws('string expected', md.hmac, 'MD5', nil, 'data')
end

tests['encode and decode'] = function()
  -- RFC 4648, Section 10
  for plain, text in pairs { [''] = '', f = 'Zg==', fo = 'Zm8=', foo = 'Zm9v', foob = 'Zm9vYg==', fooba = 'Zm9vYmE=',
    foobar = 'Zm9vYmFy', ['\0\255\254'] = 'AP/+' } do
    h.results(text)(base64.encode(plain))
    h.results(plain)(base64.decode(text))
  end
  local long = ('\1\2\3\4\5'):rep(20000)
  h.same(base64.encode(long):find('[\r\n]'), nil)
  h.same(base64.decode(base64.encode(long)), long)
end

tests['ranges'] = function()
  h.results('Zm9v')(base64.encode('xfoox', 2, 3))
  h.results('')(base64.encode('abc', 4))
  h.results('foo')(base64.decode('!Zm9v!', 2, 4))
  h.results('Yw==')(base64.encode('abc', 3))
  for _, f in ipairs { base64.encode, base64.decode } do
    for _, range in ipairs { { 0 }, { 6 }, { -1 }, { 1, 5 }, { 2, 4 }, { 1, -1 } } do
      h.throws('value out of range', f, 'Zm9v', range[1], range[2])
    end
    h.throws('string expected', f)
    h.throws('string expected', f, {})
  end
end

tests['decode: what is skipped, dropped and refused'] = function()
  h.results('foobar')(base64.decode('Zm9v\r\nYmFy\n'))
  h.results('foobar')(base64.decode('Zm9v\nYmFy  '))
  h.results('foobar')(base64.decode('Zm9v  \nYmFy'))
  h.results('foo')(base64.decode('Zm9vYm'))
  h.results('foo')(base64.decode('Zm9vY'))
  for _, bad in ipairs { 'Zm9v!', 'Zg==Zg==', 'Zg===', '====', 'Zm 9v', 'Zm9v\0', 'Zm9v-_', 'Zg=a' } do
    h.throws('invalid value', base64.decode, bad)
  end
end

h.run(tests)
