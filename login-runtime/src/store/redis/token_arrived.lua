-- Records that the remember token which was sent together with a login has arrived.
local id, now = ARGV[2], ARGV[3]
local key = p .. 'login:' .. id
local login = redis.call('HMGET', key, 'family', 'unseen_token')
if not login[2] then
  return
end
redis.call('HDEL', key, 'unseen_token')
patch(key, 107, '0')
if login[1] then
  local family_key = p .. 'family:' .. login[1]
  local family = redis.call('HMGET', family_key, 'generation', 'seen_at')
  if family[1] == login[2] and not family[2] then
    redis.call('HSET', family_key, 'seen_at', now)
    redis.call('HINCRBY', family_key, 'version', 1)
  end
end
