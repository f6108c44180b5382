-- keep_token: store a credential's record as its administrator left it, and say so in the audit.
-- From     (none)             To  (none)
-- Args     id                 text     token id
--          before             text     the record that the caller read; empty: there was none
--          record             text     the record as it shall be, JSON
--          control            text     worker_token or operator_token
--          action             text     create, revoke or rotate
--          actor              text     who
--          most               integer  records that may be kept
-- Replies  OK                 stored
--          CHANGED            the record is not the one that the caller read; nothing written
--          FULL               too many records; nothing written
-- Flags    allow-oom
-- Repeat   safe: a second call finds its own record and answers OK without another entry in the audit
-- At maxmemory too: a token must be revocable whatever the store is short of.
local stored = redis.call('HGET', Q .. 'tokens', id) or ''
if stored == record then
  return { 'OK' }
end
if stored ~= before then
  return { 'CHANGED' }
end
if stored == '' and redis.call('HLEN', Q .. 'tokens') >= most then
  return { 'FULL' }
end
redis.call('HSET', Q .. 'tokens', id, record)
redis.call('XADD', Q .. 'audit', '*', 'control', control, 'action', action, 'actor', actor, 'target', id,
  'forced', '0')
return { 'OK' }
