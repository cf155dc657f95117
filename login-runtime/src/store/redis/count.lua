-- Replaces what is stored about a try, unless it has changed in the meantime. Returns what was found then,
-- with an empty text for nothing; and nothing if it was replaced.
--
--   tries:<id>         text: when a counter is empty, and when it allows the next try
--   known-client:<id>  text: a client, and until when it is known
--
-- ARGV[1] is the prefix of all keys. Four arguments follow for each key: its name, what the caller believes
-- to be there, what is to be there, and for how many seconds.
local found, is_as_believed = {}, true
for i = 2, #ARGV, 4 do
  local value = redis.call('GET', ARGV[1] .. ':' .. ARGV[i]) or ''
  found[#found + 1] = value
  is_as_believed = is_as_believed and value == ARGV[i + 1]
end
if not is_as_believed then
  return found
end
for i = 2, #ARGV, 4 do
  local key = ARGV[1] .. ':' .. ARGV[i]
  if ARGV[i + 2] == '' then
    redis.call('DEL', key)
  elseif ARGV[i + 2] ~= ARGV[i + 1] then
    redis.call('SET', key, ARGV[i + 2], 'EX', ARGV[i + 3])
  end
end
return {}
