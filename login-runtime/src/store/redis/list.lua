-- Lists the logins of a user.
local logins = p .. 'user-logins:' .. ARGV[2]
local found = {}
for _, id in ipairs(redis.call('ZRANGE', logins, 0, -1)) do
  local key = p .. 'login:' .. id
  local packed = redis.call('HGET', key, 'packed')
  local login = packed or redis.call('HGETALL', key)
  if not packed and #login == 0 then
    redis.call('ZREM', logins, id)
  elseif is_listed(id, ARGV[2], redis.call('HGET', key, 'family')) then
    found[#found + 1] = { id, login }
  end
end
return found
