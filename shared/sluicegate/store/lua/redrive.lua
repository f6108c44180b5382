-- redrive: give dead letters a new life, with their history, step checkpoints and messages kept, and a new budget of the
-- step that they are at.
-- From     dead_letter        To  queued
-- Args     actor              text     who
--          reason             text     why; may be empty
-- Each     id                 text     job
-- Replies  OK                 one word per job: OK, UNCHANGED (redriven before, and not ended since),
--                             CONDEMNED, STATE_CONFLICT <status>, JOB_NOT_FOUND
-- Repeat   safe: a redriven job is no longer a dead letter
local words = {}
for at = 1, N do
  local id = each(at)
  local job = load_job(id)
  local word
  if not job then
    word = 'JOB_NOT_FOUND'
  elseif (job.status == 'queued' or job.status == 'running') and redis.call('HEXISTS', job_key(id), 'redriven_at') == 1 then
    word = 'UNCHANGED'
  elseif job.status ~= 'dead_letter' then
    word = 'STATE_CONFLICT ' .. job.status
  elseif redis.call('ZSCORE', Q .. 'condemned', id) then
    word = 'CONDEMNED'
  else
    local key = job_key(id)
    local dead = redis.call('HGET', key, 'dead')
    if dead then
      redis.call('XDEL', Q .. 'dead', dead)
    end
    requeue(job)
    redis.call('HDEL', key .. ':facts', 'step_budget')
    redis.call('HDEL', key, 'dead', 'attempt', 'releases', 'finished_at', 'error', 'failure_class', 'waiting_since')
    local said = redis.call('HGET', key, 'message_id')
    redis.call('HDEL', key, unpack(CONTROL_FIELDS))
    if said then
      -- What nobody has read yet is for the new life too.
      redis.call('HSET', key, 'message_id', said, 'control', '', 'control_version', '1')
    end
    redis.call('HSET', key, 'redriven_at', int(now))
    event(id, job.created_at, 'job.redriven', 'actorUserId', actor, 'reason', reason)
    redis.call('HSET', key, 'entry', join(job.lane, '+w', id))
    redis.call('XADD', Q .. 'audit', '*', 'control', 'dead_letter_redrive', 'action', 'redrive', 'actor', actor,
      'reason', reason, 'target', id)
    count('retries:redrive', 1)
    notify('queued', { id })
    word = 'OK'
  end
  words[at] = word
end
return { 'OK', words }
