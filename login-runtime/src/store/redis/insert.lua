-- Stores a login. Returns how many others ended to make room, or -1 if the limit refuses it.
local id, owner, family, now = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local created_at, last_seen, expires_at, ttl = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local at_limit, limit = ARGV[10], tonumber(ARGV[11])

-- Each new login deletes a few rows that expired an hour ago, so they do not pile up in applications that
-- never purge.
drop_expired(time_of(now) - 3600, 8)

local key = p .. 'login:' .. id
local logins = p .. 'user-logins:' .. owner
local stored = redis.call('HGET', key, 'expires_at')
if stored and tonumber(stored) > tonumber(now) and is_listed(id, owner, redis.call('HGET', key, 'family')) then
  return 0
end

local ended = 0
if at_limit ~= '' and redis.call('ZCARD', logins) >= limit then
  local live = {}
  for _, other in ipairs(redis.call('ZRANGE', logins, 0, -1)) do
    local live_until = redis.call('HGET', p .. 'login:' .. other, 'expires_at')
    if not live_until then
      redis.call('ZREM', logins, other)
    elseif tonumber(live_until) > tonumber(now) then
      live[#live + 1] = other
    end
  end
  local surplus = #live + 1 - limit
  if surplus > 0 and at_limit == 'refuse' then
    return -1
  end
  for i = 1, math.min(surplus, #live) do
    ended = ended + drop(live[i])
  end
end

redis.call('DEL', key)
redis.call('HSET', key, unpack(ARGV, 12))
redis.call('EXPIRE', key, ttl)
redis.call('ZADD', logins, created_at, id)
keep(logins, ttl)
if family ~= '' then
  local members = p .. 'family-logins:' .. family
  redis.call('SADD', members, id)
  keep(members, ttl)
end
redis.call('ZADD', p .. 'expiry', expires_at, 'login:' .. id)
redis.call('ZADD', p .. 'last-seen', last_seen, id)
return ended
