-- condemn: mark dead letters for removal, before the first of their files goes: nobody redrives them any more.
-- From     dead_letter        To  dead_letter
-- Args     actor              text     who purges; empty for retention itself, which is not audited
--          reason             text     why; may be empty
-- Each     id                 text     job
-- Replies  OK                 one word per job: OK, STATE_CONFLICT <status>, JOB_NOT_FOUND
-- Flags    allow-oom
-- Repeat   safe: a job is condemned, and that is audited, once
local words = {}
for at = 1, N do
  local id = each(at)
  local status = redis.call('HGET', job_key(id), 'status')
  local word = 'OK'
  if not status then
    -- A mark without its job, left by a damaged store, would be looked at again and again.
    redis.call('ZREM', Q .. 'condemned', id)
    word = 'JOB_NOT_FOUND'
  elseif status ~= 'dead_letter' then
    word = 'STATE_CONFLICT ' .. status
  elseif redis.call('ZADD', Q .. 'condemned', 'NX', int(now), id) == 1 and actor ~= '' then
    redis.call('XADD', Q .. 'audit', '*', 'control', 'dead_letter_purge', 'action', 'purge', 'actor', actor,
      'reason', reason, 'target', id)
  end
  words[at] = word
end
return { 'OK', words }
