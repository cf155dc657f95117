-- Deletes expired rows and unused logins. Returns how many.
local now, idle_since, limit = ARGV[2], ARGV[3], tonumber(ARGV[4])
local purged = drop_expired(now, limit)
if idle_since ~= '' then
  local idle = redis.call('ZRANGEBYSCORE', p .. 'last-seen', '-inf', '(' .. idle_since, 'LIMIT', 0, limit - purged)
  for _, id in ipairs(idle) do
    drop(id)
  end
  purged = purged + #idle
end
return purged
