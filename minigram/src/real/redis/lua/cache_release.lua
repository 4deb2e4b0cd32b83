-- Gives the task of fetching back. ARGV[2]: token.
if redis.call('HGET', key, 'token') == ARGV[2] then
  redis.call('HDEL', key, 'token', 'lease')
end
