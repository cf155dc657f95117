local id, till = ARGV[2], ARGV[3]
local before = redis.call('ZSCORE', p .. 'buried', id)
if not before or tonumber(before) < tonumber(till) then
  redis.call('ZADD', p .. 'buried', till, id)
end
