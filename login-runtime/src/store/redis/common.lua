-- Starts every script that writes. ARGV[1] is the prefix of all keys:
--
--   login:<id>           hash: a login
--   family:<id>          hash: a family of remember tokens
--   user-logins:<user>   sorted set: ids of a user's logins, by when they were made
--   user-families:<user> set: ids of a user's families
--   family-logins:<id>   set: ids of the logins born of a family
--   expiry               sorted set: `login:<id>` and `family:<id>`, by when they are over
--   use                  sorted set: ids of logins, by when they were last used
--   revoked              sorted set: ids of ended sessions, by when the note may be forgotten
--
-- A login or family that its user's set does not name is nobody's. So a Redis that evicts keys may
-- end logins, but does not keep one that was to end.

local p = ARGV[1] .. ':'

-- Ends a login, and says how many that were.
local function drop(id)
  local key = p .. 'login:' .. id
  local login = redis.call('HMGET', key, 'owner', 'family')
  local ended = 0
  if login[1] then
    ended = redis.call('ZREM', p .. 'user-logins:' .. login[1], id)
  end
  if login[2] then
    redis.call('SREM', p .. 'family-logins:' .. login[2], id)
  end
  redis.call('ZREM', p .. 'expiry', 'login:' .. id)
  redis.call('ZREM', p .. 'use', id)
  redis.call('DEL', key)
  return ended
end

local function drop_family(id)
  local key = p .. 'family:' .. id
  local owner = redis.call('HGET', key, 'owner')
  if owner then
    redis.call('SREM', p .. 'user-families:' .. owner, id)
  end
  redis.call('ZREM', p .. 'expiry', 'family:' .. id)
  redis.call('DEL', key)
end

-- Deletes what is over, at most `limit` rows, and says how many.
local function drop_over(now, limit)
  local over = redis.call('ZRANGEBYSCORE', p .. 'expiry', '-inf', now, 'LIMIT', 0, limit)
  for _, name in ipairs(over) do
    if name:sub(1, 6) == 'login:' then
      drop(name:sub(7))
    else
      drop_family(name:sub(8))
    end
  end
  local expired = redis.call('ZRANGEBYSCORE', p .. 'revoked', '-inf', now, 'LIMIT', 0, limit - #over)
  for _, id in ipairs(expired) do
    redis.call('ZREM', p .. 'revoked', id)
  end
  return #over + #expired
end

-- Keeps a key at least so many seconds. All keys have a time to live, so one without is new.
local function keep(key, ttl)
  if redis.call('TTL', key) < tonumber(ttl) then
    redis.call('EXPIRE', key, ttl)
  end
end
