-- What all scripts on sessions share. ARGV[2] is the prefix of keys.
--
-- PREFIX:session:ID    hash: user, expires, current (hash of the token), used (hashes of used tokens, and when),
--                      pDATABASE (what the user wrote last: timeline and LSN as decimals of fixed length)
-- PREFIX:sessions:USER set: the ids of a user's sessions
-- PREFIX:sessions      sorted set: all ids by the time at which they expire
--
-- None of them has a lifetime of Redis's: `volatile-lru` evicts what has one, and that must be the cache alone.
local prefix = ARGV[2]
local all = prefix .. ':sessions'

local function session_key(id)
  return prefix .. ':session:' .. id
end

local function user_key(user)
  return prefix .. ':sessions:' .. user
end

local function remove(id)
  local user = redis.call('HGET', session_key(id), 'user')
  if user then
    redis.call('SREM', user_key(user), id)
  end
  redis.call('DEL', session_key(id))
  redis.call('ZREM', all, id)
end

-- Removes some sessions that have expired: more than one call adds, so they do not pile up.
local function sweep()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', all, '-inf', integer(now), 'LIMIT', 0, 10)) do
    remove(id)
  end
end

local function is_live(id)
  local expires = redis.call('HGET', session_key(id), 'expires')
  return expires and now < tonumber(expires)
end
