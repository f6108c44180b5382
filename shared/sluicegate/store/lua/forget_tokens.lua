-- forget_tokens: remove the records of credentials that nobody can use any more.
-- From     (none)             To  (none)
-- Each     id                 text     token id
--          record             text     the record as the caller read it
-- Replies  OK                 how many were removed
-- Repeat   safe: a record that has changed or is gone is left alone
local gone = 0
for at = 1, N do
  local id, record = each(at)
  if redis.call('HGET', Q .. 'tokens', id) == record then
    gone = gone + redis.call('HDEL', Q .. 'tokens', id)
  end
end
return { 'OK', gone }
