-- Lists the logins of a user.
local logins = p .. 'user-logins:' .. ARGV[2]
local found = {}
for _, id in ipairs(redis.call('ZRANGE', logins, 0, -1)) do
  local login = redis.call('HGETALL', p .. 'login:' .. id)
  if #login == 0 then
    redis.call('ZREM', logins, id)
  else
    found[#found + 1] = { id, login }
  end
end
return found
