-- append_events: add to the histories of jobs, each only while its attempt holds the job.
-- From     running            To  running
-- Args     worker             text     worker id
--          max_log_bytes      integer  log events of one job, all together
--          max_log_entries    integer  log events of one job, in number
-- Each     id                 text     job
--          token              text     lease token
--          level              text     info, warn or error
--          message            text     sentence for people
--          payload            text     JSON; empty for none
--          is_log             integer  1: counts against the log limits
--          seq                integer  rises with each event of an attempt; 0 for an event without a number
-- Replies  OK                 one word per event: OK <event id>, TRUNCATED, REPEATED, LEASE_LOST,
--                             OWNERSHIP_MISMATCH, JOB_NOT_FOUND
-- Repeat   safe with a seq: what the attempt has appended before is REPEATED; others would stand twice
local words, jobs, changed = {}, {}, {}
for at = 1, N do
  local id, token, level, message, payload, is_log, seq = each(at)
  local known = jobs[id .. ':' .. token]
  if not known then
    local job = load_job(id)
    known = { word = refusal(job, worker, token, nil), job = job }
    if not known.word then
      local used = redis.call('HMGET', job_key(id), 'log_bytes', 'log_entries', 'log_truncated', 'appended')
      known.bytes, known.entries, known.truncated = tonumber(used[1] or 0), tonumber(used[2] or 0), used[3]
      known.appended = tonumber(used[4] or 0)
      changed[#changed + 1] = id
    end
    jobs[id .. ':' .. token] = known
  end
  local word = known.word
  if not word and seq > 0 then
    if seq <= known.appended then
      word = 'REPEATED'
    else
      known.appended, known.numbered = seq, true
    end
  end
  if not word and is_log == 1 then
    known.logged = true
    known.bytes = known.bytes + #message + #payload
    known.entries = known.entries + 1
    if known.bytes > max_log_bytes or known.entries > max_log_entries then
      word = 'TRUNCATED'
      if not known.truncated then
        known.truncated = '1'
        redis.call('HSET', job_key(id), 'log_truncated', '1')
        event(id, known.job.created_at, 'events.truncated', 'limitBytes', int(max_log_bytes),
          'limitEntries', int(max_log_entries))
      end
    end
  end
  if not word then
    word = 'OK ' .. event(id, known.job.created_at, 'custom', 'level', level, 'message', message, 'payload', payload)
  end
  words[at] = word
end
for _, known in pairs(jobs) do
  if known.logged then
    redis.call('HSET', job_key(known.job.id), 'log_bytes', int(known.bytes), 'log_entries', int(known.entries))
  end
  if known.numbered then
    redis.call('HSET', job_key(known.job.id), 'appended', int(known.appended))
  end
end
notify('events', changed)
return { 'OK', words }
