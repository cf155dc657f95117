-- Ends all logins and families of a user, except one login and one family.
local owner, but, but_family = ARGV[2], ARGV[3], ARGV[4]
local ended = 0
for _, id in ipairs(redis.call('ZRANGE', p .. 'user-logins:' .. owner, 0, -1)) do
  if id ~= but then
    ended = ended + drop(id)
    redis.call('ZREM', p .. 'user-logins:' .. owner, id)
  end
end
for _, id in ipairs(redis.call('SMEMBERS', p .. 'user-families:' .. owner)) do
  if id ~= but_family then
    drop_family(id)
    redis.call('SREM', p .. 'user-families:' .. owner, id)
  end
end
return ended
