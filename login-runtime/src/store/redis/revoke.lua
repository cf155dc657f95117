-- Records that a session has ended. The latest time of several calls counts. Of each user, only the
-- latest `max` are kept.
local id, owner, expires_at, max, ttl = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
local before = redis.call('ZSCORE', p .. 'revoked', id)
-- The first call decides whose session it is.
local known = redis.call('HGET', p .. 'revoked-owners', id)
owner = known or owner
if before and tonumber(before) >= tonumber(expires_at) then
  return
end
redis.call('ZADD', p .. 'revoked', expires_at, id)
redis.call('HSET', p .. 'revoked-owners', id, owner)
local revoked = p .. 'user-revoked:' .. owner
redis.call('ZADD', revoked, expires_at, id)
local surplus = redis.call('ZCARD', revoked) - max
if surplus > 0 then
  for _, oldest in ipairs(redis.call('ZRANGE', revoked, 0, surplus - 1)) do
    drop_revoked(oldest)
  end
end
keep(revoked, ttl)
