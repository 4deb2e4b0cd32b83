-- The fields of a session, none if it has ended. ARGV[3]: id.
if is_live(ARGV[3]) then
  return redis.call('HGETALL', session_key(ARGV[3]))
end
return {}
