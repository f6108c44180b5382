-- mend_fields: set fields of hashes right, each only while it is as it was seen; no hash is made by it but meta.
-- From     (any)              To  (any)
-- Each     name               text     key, without its tag
--          field              text     field of the hash
--          seen               text     its value as it was seen; empty for none
--          value              text     its value from now on; empty for none
-- Replies  OK                 one word per field: SET, or CHANGED: it is no longer as it was seen, nothing written
-- Store    may lack its meta
-- Repeat   safe: the second time it is CHANGED
local words = {}
for at = 1, N do
  local name, field, seen, value = each(at)
  local word = 'CHANGED'
  if (redis.call('HGET', Q .. name, field) or '') == seen
    and (name == 'meta' or redis.call('EXISTS', Q .. name) == 1) then
    word = 'SET'
    if value == '' then
      redis.call('HDEL', Q .. name, field)
    else
      redis.call('HSET', Q .. name, field, value)
    end
  end
  words[at] = word
end
return { 'OK', words }
