-- What all scripts on the cache share. KEYS[1] is a hash:
--
-- node         run id of the Redis process that wrote the entry
-- value        the value, until `expires`; from `refresh` on it is aging
-- outdated     until when the value is served although it is outdated
-- token        who has the task of fetching, until `lease`
-- after        what the next fetch must not be behind, until `after_until`: DATABASE=TIMELINE:LSN, separated by spaces,
--              as decimals of fixed length
--
-- An entry of another process is as good as none: this process may lack an invalidation that the other one had
-- acknowledged, because replicas follow behind, and the append-only file is written once a second.
local key = KEYS[1]
local node = redis.call('INFO', 'server'):match('run_id:(%x+)')

local function discard_foreign()
  local writer = redis.call('HGET', key, 'node')
  if writer and writer ~= node then
    redis.call('DEL', key)
  end
end

-- What the next fetch must not be behind, as text.
local function after()
  local fields = redis.call('HMGET', key, 'after', 'after_until')
  if fields[1] and now < tonumber(fields[2]) then
    return fields[1]
  end
  return ''
end

-- The same, with a write of a database, whose timeline and LSN are decimals of fixed length.
local function after_with(database, written)
  local positions = {}
  for known, position in after():gmatch('(%d+)=(%S+)') do
    if known ~= database then
      positions[#positions + 1] = known .. '=' .. position
    elseif position > written then
      written = position
    end
  end
  positions[#positions + 1] = database .. '=' .. written
  return table.concat(positions, ' ')
end

-- Whether a value with these fields is served.
local function is_live(value, expires, outdated)
  return value and now < tonumber(expires) and (not outdated or now < tonumber(outdated))
end

-- Sets fields, and the lifetime of the entry to that of what lives longest in it.
local function store(...)
  redis.call('HSET', key, 'node', node, ...)
  local last = 0
  for _, time in ipairs(redis.call('HMGET', key, 'expires', 'lease', 'after_until')) do
    last = math.max(last, tonumber(time or 0))
  end
  redis.call('PEXPIRE', key, integer(math.max(1, last - now)))
end

local function store_value(value, ttl, fresh)
  redis.call('HDEL', key, 'token', 'lease', 'outdated')
  store('value', value, 'expires', integer(now + ttl), 'refresh', integer(now + fresh))
end
