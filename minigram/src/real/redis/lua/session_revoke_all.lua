-- Ends all sessions of a user; returns how many there were. ARGV[3]: user.
local count = 0
for _, id in ipairs(redis.call('SMEMBERS', user_key(ARGV[3]))) do
  if is_live(id) then
    count = count + 1
  end
  remove(id)
end
return count
