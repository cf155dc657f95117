-- Moves `last_seen` of a login forward. ARGV: prefix, id, time, time as it is packed.
local id, last_seen = ARGV[2], ARGV[3]
local key = p .. 'login:' .. id
local before = redis.call('HGET', key, 'last_seen')
if before and tonumber(before) < tonumber(last_seen) then
  redis.call('HSET', key, 'last_seen', last_seen)
  patch(key, 99, ARGV[4])
  redis.call('ZADD', p .. 'last-seen', last_seen, id)
end
