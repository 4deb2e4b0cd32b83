-- Opens a session. ARGV[3..7]: id, user, lifetime, hash of the token, sessions at most.
local id, user, ttl, hash, most = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
sweep()
if redis.call('ZCARD', all) >= most then
  return false
end
local expires = integer(now + ttl)
redis.call('HSET', session_key(id), 'user', user, 'expires', expires, 'current', hash, 'used', '')
redis.call('SADD', user_key(user), id)
redis.call('ZADD', all, expires, id)
return redis.call('HGETALL', session_key(id))
