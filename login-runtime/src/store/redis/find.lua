-- Finds a row. ARGV: prefix, `login` or `family`, id. It does without the common part, because it runs
-- in every request.
local p, kind, id = ARGV[1] .. ':', ARGV[2], ARGV[3]
local key = p .. kind .. ':' .. id
local owner = redis.call('HGET', key, 'owner')
if not owner then
  return false
end
local is_valid
if kind == 'login' then
  is_valid = redis.call('ZSCORE', p .. 'user-logins:' .. owner, id)
else
  is_valid = redis.call('SISMEMBER', p .. 'user-families:' .. owner, id) == 1
end
if not is_valid then
  return false
end
return redis.call('HGETALL', key)
