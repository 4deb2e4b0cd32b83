-- Removes a value and the task of fetching it. ARGV[2..4]: database, timeline and LSN of the write as decimals of fixed
-- length, for how long that is remembered.
local database, written, remembered = ARGV[2], ARGV[3], tonumber(ARGV[4])
discard_foreign()
local positions = {}
for known, position in after():gmatch('(%d+)=(%S+)') do
  if known ~= database then
    positions[#positions + 1] = known .. '=' .. position
  elseif position > written then
    written = position
  end
end
positions[#positions + 1] = database .. '=' .. written
redis.call('DEL', key)
store('after', table.concat(positions, ' '), 'after_until', integer(now + remembered))
