-- retention: remove ended jobs with all their keys. Their files are gone by now: files first, keys after.
-- From     succeeded, failed, cancelled, dead_letter   To  (none)
-- Args     before_ms          integer  only jobs that ended at or before this time
-- Each     id                 text     job
--          status             text     the terminal status it was seen in
-- Replies  OK                 one word per job: OK, STATE_CONFLICT <status>, JOB_NOT_FOUND
-- Flags    allow-oom
-- Repeat   safe: a removed job is not found
local words = {}
for at = 1, N do
  local id, status = each(at)
  local key = job_key(id)
  local found = redis.call('HMGET', key, 'status', 'dead')
  local ended = redis.call('ZSCORE', Q .. 'status:' .. status, id)
  local word = 'OK'
  if not found[1] then
    -- An index entry without its job, left by a damaged store, would be looked at again and again.
    redis.call('ZREM', Q .. 'status:' .. status, id)
    word = 'JOB_NOT_FOUND'
  elseif found[1] ~= status or status == 'queued' or status == 'running' or not ended or tonumber(ended) > before_ms then
    word = 'STATE_CONFLICT ' .. found[1]
  else
    redis.call('DEL', key, key .. ':events', key .. ':steps', key .. ':artifacts', key .. ':facts', key .. ':controls',
      key .. ':live', key .. ':terminal', key .. ':typed', key .. ':watched')
    redis.call('ZREM', Q .. 'status:' .. status, id)
    redis.call('ZREM', Q .. 'live', id)
    if found[2] then
      redis.call('XDEL', Q .. 'dead', found[2])
      redis.call('ZREM', Q .. 'condemned', id)
    end
    notify('removed', { id })
  end
  words[at] = word
end
return { 'OK', words }
