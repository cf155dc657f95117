-- Makes a login stale.
local key = p .. 'login:' .. ARGV[2]
if redis.call('EXISTS', key) == 1 then
  redis.call('HSET', key, 'fresh', '0')
end
