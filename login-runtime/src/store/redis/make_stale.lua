-- Makes a login stale.
local key = p .. 'login:' .. ARGV[2]
if not patch(key, 98, '0') and redis.call('EXISTS', key) == 1 then
  redis.call('HSET', key, 'fresh', '0')
end
