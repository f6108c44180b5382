-- read_tokens: the records of credentials, with the time to judge them by.
-- From     (none)             To  (none)
-- Each     id                 text     token id
-- Replies  OK                 time; per item its record as JSON, or ''
-- Flags    no-writes
-- Repeat   safe: reads only
local found = {}
for at = 1, N do
  found[at] = redis.call('HGET', Q .. 'tokens', (each(at))) or ''
end
return { 'OK', int(now), found }
