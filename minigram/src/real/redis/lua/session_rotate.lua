-- Gives a session a new token. ARGV[3..8]: id, hash of the token, hash of the new one, lifetime, for how long a used
-- token may be used again, how many of them are remembered.
local id, hash, new, ttl, grace, most =
  ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local key = session_key(id)
sweep()
if not is_live(id) then
  return 'unknown'
end
local fields = redis.call('HMGET', key, 'current', 'used')
local current, used = fields[1], {}
local valid = hash == current
local known = valid
for entry, token, time in fields[2]:gmatch('((%x+):(%d+) )') do
  used[#used + 1] = entry
  if token == hash then
    known = true
    valid = valid or now - tonumber(time) < grace
  end
end
if not known then
  return 'unknown'
end
if not valid then
  remove(id)
  return 'reused'
end
-- The same call a second time, after its answer was lost, finds its own new token.
if current ~= new then
  used[#used + 1] = current .. ':' .. integer(now) .. ' '
end
local expires = integer(now + ttl)
redis.call('HSET', key, 'current', new, 'used', table.concat(used, '', math.max(1, #used - most + 1)), 'expires', expires)
redis.call('ZADD', all, expires, id)
return redis.call('HGETALL', key)
