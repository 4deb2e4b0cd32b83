-- Notes what the user wrote. ARGV[3..5]: id, field of the database, timeline and LSN as decimals of fixed length, so
-- that the text of a later write is the greater one.
local key, field, written = session_key(ARGV[3]), ARGV[4], ARGV[5]
if is_live(ARGV[3]) then
  local known = redis.call('HGET', key, field)
  if not known or known < written then
    redis.call('HSET', key, field, written)
  end
end
