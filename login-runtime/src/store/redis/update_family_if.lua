-- Replaces a family if it has the expected version. Returns whether it did.
local id, expected, expires_at, ttl = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local key = p .. 'family:' .. id
local family = redis.call('HMGET', key, 'owner', 'version')
if not family[1] or family[2] ~= expected then
  return 0
end
local families = p .. 'user-families:' .. family[1]
if redis.call('SISMEMBER', families, id) == 0 then
  return 0
end
redis.call('HDEL', key, 'seen_at', 'restored_at', 'hash')
redis.call('HSET', key, unpack(ARGV, 6))
keep(key, ttl)
keep(families, ttl)
redis.call('ZADD', p .. 'expiry', expires_at, 'family:' .. id)
return 1
