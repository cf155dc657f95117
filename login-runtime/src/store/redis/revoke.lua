-- Records that a session has ended. The latest time of several calls counts.
local id, expires_at = ARGV[2], ARGV[3]
local before = redis.call('ZSCORE', p .. 'revoked', id)
if not before or tonumber(before) < tonumber(expires_at) then
  redis.call('ZADD', p .. 'revoked', expires_at, id)
end
