-- ARGV: prefix, `login` or `family`, id. Without the common part: this runs at every request.
local p, kind, id = ARGV[1] .. ':', ARGV[2], ARGV[3]
local key = p .. kind .. ':' .. id
local owner = redis.call('HGET', key, 'owner')
if not owner then
  return false
end
local named
if kind == 'login' then
  named = redis.call('ZSCORE', p .. 'user-logins:' .. owner, id)
else
  named = redis.call('SISMEMBER', p .. 'user-families:' .. owner, id) == 1
end
if not named then
  return false
end
return redis.call('HGETALL', key)
