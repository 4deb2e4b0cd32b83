-- Gives the task of fetching a value anew, which is served meanwhile. ARGV[2..6]: database, timeline and LSN of the write
-- as decimals of fixed length, for how long that is remembered, token for the task, how long the task lasts. Returns what
-- is left of the value's lifetime, 0 if there is none, and what the fetch must not be behind.
local remembered, token, lease = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
discard_foreign()
local positions = after_with(ARGV[2], ARGV[3])
local fields = redis.call('HMGET', key, 'value', 'expires', 'outdated')
if not is_live(fields[1], fields[2], fields[3]) then
  redis.call('DEL', key)
  store('after', positions, 'after_until', integer(now + remembered))
  return { 0, positions }
end
local outdated = math.min(now + lease, tonumber(fields[3] or now + lease))
store('after', positions, 'after_until', integer(now + remembered), 'outdated', integer(outdated),
  'token', token, 'lease', integer(now + lease))
return { math.ceil(tonumber(fields[2]) - now), positions }
