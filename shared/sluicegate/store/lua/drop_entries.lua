-- drop_entries: remove entries of lanes, and dead letters, that stand for nothing; each is judged anew.
-- From     (any)              To  (any)
-- Each     name               text     lane and class, or dead
--          entry              text     id of the entry
-- Replies  OK                 one word per entry: DROPPED; KEPT when a job refers to it
-- Repeat   safe: what is gone is KEPT
local words = {}
for at = 1, N do
  local name, entry = each(at)
  local stream = name == 'dead' and Q .. 'dead' or Q .. 'lane:' .. name
  local word = 'KEPT'
  local found = redis.call('XRANGE', stream, entry, entry)[1]
  if found then
    if dangling(name, entry, found[2][1] == 'job' and found[2][2] or nil) then
      word = 'DROPPED'
    end
  elseif name ~= 'dead' and redis.call('EXISTS', stream) == 1 and delivered_to(stream)
    and #redis.call('XPENDING', stream, 'workers', entry, entry, '1') > 0 then
    word = 'DROPPED'
  end
  if word == 'DROPPED' then
    if name == 'dead' then
      redis.call('XDEL', stream, entry)
    else
      take_out(name, entry)
    end
  end
  words[at] = word
end
return { 'OK', words }
