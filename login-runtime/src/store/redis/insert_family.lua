-- Stores a family.
local id, owner, expires_at, ttl = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local key = p .. 'family:' .. id
redis.call('DEL', key)
redis.call('HSET', key, unpack(ARGV, 6))
redis.call('EXPIRE', key, ttl)
redis.call('SADD', p .. 'user-families:' .. owner, id)
keep(p .. 'user-families:' .. owner, ttl)
redis.call('ZADD', p .. 'expiry', expires_at, 'family:' .. id)
