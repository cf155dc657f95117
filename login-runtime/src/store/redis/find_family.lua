-- Finds a family. ARGV: prefix, id. It needs nothing of the common part.
local p, id = ARGV[1] .. ':', ARGV[2]
local key = p .. 'family:' .. id
local owner = redis.call('HGET', key, 'owner')
if owner and redis.call('SISMEMBER', p .. 'user-families:' .. owner, id) == 1 then
  return redis.call('HGETALL', key)
end
return false
