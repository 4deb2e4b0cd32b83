-- The value, if it is there.
local fields = redis.call('HMGET', key, 'node', 'value', 'expires', 'outdated')
if fields[1] == node and is_live(fields[2], fields[3], fields[4]) then
  return fields[2]
end
return false
