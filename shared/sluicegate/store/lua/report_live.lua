-- report_live: the attempt that holds a job says how its live session is.
-- From     running            To  running
-- Args     worker             text     worker id
--          id                 text     job
--          token              text     lease token
--          host               text     the worker's machine; may be empty
--          session            text     id of the session, if one begins
--          status             text     starting, ready, ended or error
--          provider           text     which kind; empty for that which is recorded
--          attach_ro          text     a way to look; may be empty, as those below
--          web_ro             text     a page to look at
--          rw                 text     the ways to write, sealed
--          tmate_session      text     its name
--          tmate_socket       text     path of its socket
--          ttl_ms             integer  how long a session may last from when its worker took it up
--          expires_ms         integer  an earlier end; 0 for none
--          error              text     what went wrong, or why it ended; may be empty
-- Replies  OK                 DONE; UNCHANGED: it is as reported; OTHER: the record is not of this attempt's session, or
--                             that is over, nothing written; the record's fields
--          LIVE_CONFLICT <status>  another kind was asked for; nothing written
--          LEASE_LOST, OWNERSHIP_MISMATCH, JOB_NOT_FOUND   nothing written
-- Flags    allow-oom
-- Repeat   safe: what is so already stays
local job = load_job(id)
local word = refusal(job, worker, token, nil)
if word then
  return { word }
end
local key = job_key(id) .. ':live'
local live = load_live(id)
local over = status == 'ended' or status == 'error'
local asked = is_open(live) and not live.token
local mine = live and live.token == token
if not mine and status == 'ended' then
  return { 'OK', 'OTHER', redis.call('HGETALL', key) }
end
if asked and provider ~= '' and provider ~= live.provider then
  return { 'LIVE_CONFLICT ' .. live.status }
end
if mine and not is_open(live) then
  if live.ended_at or not over then
    return { 'OK', 'OTHER', redis.call('HGETALL', key) }
  end
  -- Revoked, and now its worker has torn it down.
  end_live_record(job, live, id, live.status, error)
  return { 'OK', 'DONE', redis.call('HGETALL', key) }
end

local begins = not mine
if begins then
  if not asked then
    if is_open(live) then
      count('live:ended', 1)
    end
    begin_live(id, session, provider, '')
  end
  redis.call('HSET', key, 'token', token, 'worker', worker, 'expires_at', int(now + ttl_ms))
  redis.call('ZADD', Q .. 'live', int(now + LIVE_SILENT_MS), id)
  live = load_live(id)
end
if host ~= '' then
  redis.call('HSET', key, 'host', host)
end
if expires_ms > 0 and expires_ms < tonumber(live.expires_at) then
  redis.call('HSET', key, 'expires_at', int(expires_ms))
end
if over then
  end_live_record(job, live, id, status, error)
  return { 'OK', 'DONE', redis.call('HGETALL', key) }
end
hear_live(id)
local same = not begins and (status == 'starting' or (live.status == 'ready' and (live.attach_ro or '') == attach_ro
  and (live.web_ro or '') == web_ro and (live.rw or '') == rw))
if same then
  return { 'OK', 'UNCHANGED', redis.call('HGETALL', key) }
end
if status == 'ready' then
  local ways = { attach_ro = attach_ro, web_ro = web_ro, rw = rw, tmate_session = tmate_session,
    tmate_socket = tmate_socket }
  for name, way in pairs(ways) do
    if way ~= '' then
      redis.call('HSET', key, name, way)
    else
      redis.call('HDEL', key, name)
    end
  end
  if live.status ~= 'ready' then
    redis.call('HSET', key, 'status', 'ready', 'ready_at', int(now))
    count('live:ready', 1)
    if live.asked_by then
      event(id, job.created_at, 'task.live.ready', 'provider', live.provider, 'sessionId', live.id, 'workerId', worker)
    end
  end
end
if begins then
  number_live(job, id)
else
  notify('live', { id })
end
return { 'OK', 'DONE', redis.call('HGETALL', key) }
