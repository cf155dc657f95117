-- Deletes expired rows and unused logins. Returns how many.
local idle_since, limit = ARGV[3], tonumber(ARGV[4])
local now = time_of(ARGV[2])
local purged = drop_expired(now, limit)
if idle_since ~= '' then
  local since = string.format('(%d', tonumber(idle_since) - (tonumber(ARGV[2]) - now))
  local idle = redis.call('ZRANGEBYSCORE', p .. 'last-seen', '-inf', since, 'LIMIT', 0, limit - purged)
  for _, id in ipairs(idle) do
    drop(id)
  end
  purged = purged + #idle
end
return purged
