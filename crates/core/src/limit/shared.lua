-- The generic cell rate algorithm over several keys: either all give a token, or none does.
-- KEYS: one a limit. ARGV: for each its interval in microseconds, its burst, and 1 if it refuses nothing.
-- Answers three numbers a limit: refused, tokens left, and microseconds until there is one more.
local clock = redis.call('TIME')
-- From 2026 on, so that a double tells microseconds, and fractions of them, for centuries.
local now = (clock[1] - 1767225600) * 1000000 + clock[2]
local pass, tats, refused = true, {}, {}
for i = 1, #KEYS do
  local interval, burst, dry = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), ARGV[3 * i]
  local tat = math.max(tonumber(redis.call('GET', KEYS[i]) or now), now)
  local latest = now + burst * interval
  if tat > latest then
    -- The rate was another one, or the clock was set back: no request waits by what no longer holds.
    tat = latest
    redis.call('SET', KEYS[i], string.format('%.3f', tat), 'PX', math.ceil((tat - now) / 1000) + 1)
  end
  tats[i] = tat
  -- Half a microsecond is less than what a clock is wrong by, and more than what rounding is.
  refused[i] = tat - now - (burst - 1) * interval > 0.5
  if refused[i] and dry ~= '1' then pass = false end
end
local answer = {}
for i = 1, #KEYS do
  local interval, burst = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
  if pass and not refused[i] then
    tats[i] = tats[i] + interval
    redis.call('SET', KEYS[i], string.format('%.3f', tats[i]), 'PX', math.ceil((tats[i] - now) / 1000) + 1)
  end
  local missing = tats[i] - now
  local left = refused[i] and 0 or math.max(math.floor(burst - missing / interval + 0.000001), 0)
  local wait = math.max(math.ceil(missing - (burst - 1 - left) * interval - 0.5), 0)
  for _, number in ipairs({ refused[i] and 1 or 0, left, left < burst and wait or 0 }) do
    answer[#answer + 1] = number
  end
end
return answer
