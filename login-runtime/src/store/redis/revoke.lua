local id, till = ARGV[2], ARGV[3]
local before = redis.call('ZSCORE', p .. 'revoked', id)
if not before or tonumber(before) < tonumber(till) then
  redis.call('ZADD', p .. 'revoked', till, id)
end
