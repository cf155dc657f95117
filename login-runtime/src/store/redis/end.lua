-- Ends logins or families. ARGV: prefix, `login` or `family`, ids.
local ended = 0
for i = 3, #ARGV do
  if ARGV[2] == 'login' then
    ended = ended + drop(ARGV[i])
  else
    drop_family(ARGV[i])
  end
end
return ended
