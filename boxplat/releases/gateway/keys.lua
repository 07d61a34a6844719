-- Lets a request in whose bearer token is known by its SHA-256 (FIPS 180-4). The route's context maps digests to
-- "operate NAME" or "invoke NAME"; `need` is "operate" where that is asked for, `body` what a refused one hears.
local bit = require("bit")
local band, bnot, bxor, ror, rshift, tobit = bit.band, bit.bnot, bit.bxor, bit.ror, bit.rshift, bit.tobit
local byte, char, format, rep = string.byte, string.char, string.format, string.rep

local K = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}

local function sha256(text)
  local a0, b0, c0, d0 = 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a
  local e0, f0, g0, h0 = 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
  local bits = #text * 8
  text = text .. "\128" .. rep("\0", (55 - #text) % 64) .. "\0\0\0\0"
      .. char(band(rshift(bits, 24), 255), band(rshift(bits, 16), 255), band(rshift(bits, 8), 255), band(bits, 255))
  local w = {}
  for first = 1, #text, 64 do
    for i = 0, 15 do
      local p, q, r, s = byte(text, first + 4 * i, first + 4 * i + 3)
      w[i] = tobit(((p * 256 + q) * 256 + r) * 256 + s)
    end
    for i = 16, 63 do
      local x, y = w[i - 15], w[i - 2]
      w[i] = tobit(w[i - 16] + bxor(ror(x, 7), ror(x, 18), rshift(x, 3))
          + w[i - 7] + bxor(ror(y, 17), ror(y, 19), rshift(y, 10)))
    end
    local a, b, c, d, e, f, g, h = a0, b0, c0, d0, e0, f0, g0, h0
    for i = 0, 63 do
      local one = tobit(h + bxor(ror(e, 6), ror(e, 11), ror(e, 25)) + bxor(band(e, f), band(bnot(e), g)) + K[i + 1] + w[i])
      local two = tobit(bxor(ror(a, 2), ror(a, 13), ror(a, 22)) + bxor(band(a, b), band(a, c), band(b, c)))
      h, g, f, e, d, c, b, a = g, f, e, tobit(d + one), c, b, a, tobit(one + two)
    end
    a0, b0, c0, d0 = tobit(a0 + a), tobit(b0 + b), tobit(c0 + c), tobit(d0 + d)
    e0, f0, g0, h0 = tobit(e0 + e), tobit(f0 + f), tobit(g0 + g), tobit(h0 + h)
  end
  return (format("%08x%08x%08x%08x%08x%08x%08x%08x",
    a0 % 2^32, b0 % 2^32, c0 % 2^32, d0 % 2^32, e0 % 2^32, f0 % 2^32, g0 % 2^32, h0 % 2^32))
end

-- Digests of tokens that were let in: who comes again is not hashed again. Whether they still are is asked each time.
local digests, known = {}, 0

local function remember(token, digest)
  if not digests[token] then
    if known >= 1000 then
      digests, known = {}, 0
    end
    digests[token], known = digest, known + 1
  end
end

function envoy_on_request(handle)
  local context, headers = handle:filterContext(), handle:headers()
  local given = headers:get("authorization")
  local token = given and #given < 512 and given:match("^[Bb]earer +([%w_-]+)$")
  local digest = token and (digests[token] or sha256(token))
  local key = digest and context:get(digest)
  if not key then
    handle:respond({ [":status"] = "401", ["www-authenticate"] = "Bearer" }, "a key is needed: Authorization: Bearer …")
    return
  end
  remember(token, digest)
  local scope, name = key:match("^(%S+) (.+)$")
  if context:get("need") == "operate" and scope ~= "operate" then
    handle:respond({ [":status"] = "403" }, "the key " .. name .. " may invoke, but not operate")
    return
  end
  headers:remove("authorization")
  headers:replace("x-client-id", name)
  handle:streamInfo():dynamicMetadata():set("boxplat", "key", name)
end
