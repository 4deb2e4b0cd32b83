-- The value, if it is there.
local fields = redis.call('HMGET', key, 'node', 'value', 'expires')
if fields[1] == node and fields[2] and now < tonumber(fields[3]) then
  return fields[2]
end
return false
