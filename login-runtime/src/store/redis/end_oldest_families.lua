-- Ends the families of a user but for those whose tokens were replaced last. Returns how many ended.
local owner, keep_count = ARGV[2], tonumber(ARGV[3])
local families = p .. 'user-families:' .. owner
if redis.call('SCARD', families) <= keep_count then
  return 0
end
local found = {}
for _, id in ipairs(redis.call('SMEMBERS', families)) do
  local rotated_at = redis.call('HGET', p .. 'family:' .. id, 'rotated_at')
  if rotated_at then
    found[#found + 1] = { id, tonumber(rotated_at) }
  else
    redis.call('SREM', families, id)
  end
end
table.sort(found, function(a, b)
  if a[2] == b[2] then
    return a[1] > b[1]
  end
  return a[2] > b[2]
end)
local ended = 0
for i = keep_count + 1, #found do
  drop_family(found[i][1])
  ended = ended + 1
end
return ended
