-- Finds a login. ARGV: prefix, id; perhaps a session, and the time. Returns 1 if the session is recorded as
-- ended. It does without the common part, because it runs in every request.
local p, id = ARGV[1] .. ':', ARGV[2]
if ARGV[3] then
  local ends = redis.call('ZSCORE', p .. 'revoked', ARGV[3])
  if ends and tonumber(ARGV[4]) < tonumber(ends) then
    return 1
  end
end
local key = p .. 'login:' .. id
local found = redis.call('HGET', key, 'packed')
local owner, family
if found then
  owner, family = found:sub(2, 65), found:sub(66, 97)
else
  -- The version before stored a field for each part.
  local row = redis.call('HMGET', key, 'owner', 'family')
  owner, family = row[1], row[2] or ' '
  if not owner then
    return false
  end
end
-- Redis may have evicted a set by which this login was to be found and ended.
-- A rank costs Redis less than a score, which it writes as a decimal number.
if not redis.call('ZRANK', p .. 'user-logins:' .. owner, id) then
  return false
end
if family:byte() ~= 32 and redis.call('SISMEMBER', p .. 'family-logins:' .. family, id) == 0 then
  return false
end
return found or redis.call('HGETALL', key)
