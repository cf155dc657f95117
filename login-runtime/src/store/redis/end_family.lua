-- Ends a family and its logins.
local family = ARGV[2]
local ended = 0
for _, id in ipairs(redis.call('SMEMBERS', p .. 'family-logins:' .. family)) do
  ended = ended + drop(id)
end
redis.call('DEL', p .. 'family-logins:' .. family)
-- The set above may have been evicted. The set of the user contains every valid login.
local owner = redis.call('HGET', p .. 'family:' .. family, 'owner')
if owner then
  for _, id in ipairs(redis.call('ZRANGE', p .. 'user-logins:' .. owner, 0, -1)) do
    if redis.call('HGET', p .. 'login:' .. id, 'family') == family then
      ended = ended + drop(id)
    end
  end
end
drop_family(family)
return ended
