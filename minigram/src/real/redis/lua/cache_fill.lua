-- Keeps a value that was fetched, if its fetch still has the task. ARGV[2..5]: token, value, lifetime, for how long it
-- is not aging.
discard_foreign()
if redis.call('HGET', key, 'token') ~= ARGV[2] then
  return 0
end
store_value(ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]))
return 1
