-- The time in milliseconds: ARGV[1], or Redis's own if that is 0.
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A number of milliseconds as an integer in text, which '..' and replies would round.
local function integer(number)
  return string.format('%.0f', number)
end
