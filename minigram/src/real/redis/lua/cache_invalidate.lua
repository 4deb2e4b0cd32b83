-- Removes a value and the task of fetching it. ARGV[2..4]: database, timeline and LSN of the write as decimals of fixed
-- length, for how long that is remembered.
discard_foreign()
local positions = after_with(ARGV[2], ARGV[3])
redis.call('DEL', key)
store('after', positions, 'after_until', integer(now + tonumber(ARGV[4])))
