-- The first part of every script that writes. ARGV[1] is the prefix of all keys:
--
--   login:<id>           hash: a login. `packed` is all of it (`packed.rs` has the form); the other fields are
--                        what scripts need of it: owner, family, last_seen, expires_at, unseen_token.
--                        Without `packed`, the version before stored it, with a field for each part.
--   family:<id>          hash: a family of remember tokens
--   user-logins:<user>   sorted set: ids of a user's logins, by the time they were stored
--   user-families:<user> set: ids of a user's families
--   family-logins:<id>   set: ids of the logins that belong to a family
--   expiry               sorted set: `login:<id>` and `family:<id>`, by the time they expire
--   last-seen            sorted set: ids of logins, by the time they were last used
--   user-revoked:<user>  sorted set: ids of a user's revoked sessions, by the same time
--   revoked-owners       hash: the user of each revoked session
--   revoked              sorted set: ids of revoked sessions, by the time they may be deleted
--
-- `count.lua` has the keys of tries.
--
-- A login or family is only valid if the set of its user contains it, and a login of a family only if the set
-- of the family contains it, too. These sets are how all that has to end is found. So if Redis evicts keys,
-- logins may end early, but no login remains valid after its end.

local p = ARGV[1] .. ':'

-- Whether the sets still contain a login of this user and this family, which may be nil or empty.
local function is_listed(id, owner, family)
  return redis.call('ZSCORE', p .. 'user-logins:' .. owner, id)
    and (not family or family == '' or redis.call('SISMEMBER', p .. 'family-logins:' .. family, id) == 1)
end

-- Ends a login. Returns how many logins ended: 1, or 0 if it was not valid.
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
  redis.call('ZREM', p .. 'last-seen', id)
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

-- Deletes the revocation of a session.
local function drop_revoked(id)
  local owner = redis.call('HGET', p .. 'revoked-owners', id)
  if owner then
    redis.call('ZREM', p .. 'user-revoked:' .. owner, id)
    redis.call('HDEL', p .. 'revoked-owners', id)
  end
  redis.call('ZREM', p .. 'revoked', id)
end

-- The time that decides what is deleted: that of the caller, unless it is ahead of the clock of Redis.
local function time_of(now)
  return math.min(tonumber(now), tonumber(redis.call('TIME')[1]))
end

-- Deletes at most `limit` expired rows. Returns how many.
local function drop_expired(now, limit)
  local names = redis.call('ZRANGEBYSCORE', p .. 'expiry', '-inf', now, 'LIMIT', 0, limit)
  for _, name in ipairs(names) do
    if name:sub(1, 6) == 'login:' then
      drop(name:sub(7))
    else
      drop_family(name:sub(8))
    end
  end
  local sessions = redis.call('ZRANGEBYSCORE', p .. 'revoked', '-inf', now, 'LIMIT', 0, limit - #names)
  for _, id in ipairs(sessions) do
    drop_revoked(id)
  end
  return #names + #sessions
end

-- Replaces a part of a packed login. Returns whether there is one.
local function patch(key, from, bytes)
  local packed = redis.call('HGET', key, 'packed')
  if packed then
    redis.call('HSET', key, 'packed', packed:sub(1, from - 1) .. bytes .. packed:sub(from + #bytes))
  end
  return packed
end

-- Keeps a key for at least `ttl` seconds. Only a new key has no time to live yet.
local function keep(key, ttl)
  if redis.call('TTL', key) < tonumber(ttl) then
    redis.call('EXPIRE', key, ttl)
  end
end
