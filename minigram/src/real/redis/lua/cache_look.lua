-- Looks for a value. ARGV[2..3]: token for the task of fetching, how long the task lasts. Returns what was found, the
-- value, and what a fetch must not be behind.
local token, lease = ARGV[2], tonumber(ARGV[3])
discard_foreign()
local fields = redis.call('HMGET', key, 'value', 'expires', 'refresh', 'token', 'lease', 'outdated')
local value = fields[1]
if value and not is_live(value, fields[2], fields[6]) then
  redis.call('HDEL', key, 'value', 'expires', 'refresh', 'outdated')
  value = false
end
-- The same call a second time, after its answer was lost, gets the task that it got.
local fetching = fields[4] and fields[4] ~= token and now < tonumber(fields[5])
if value and (fetching or now < tonumber(fields[3])) then
  return { 'fresh', value, '' }
end
if fetching then
  return { 'fetching', '', after() }
end
store('token', token, 'lease', integer(now + lease))
return { value and 'aging' or 'missing', value or '', after() }
