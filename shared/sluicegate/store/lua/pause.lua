-- pause: change the switch that all claims obey. From the reply on, no claim opens an attempt.
-- From     (any)              To  (any)
-- Args     action             text     pause or resume
--          mode               text     drain or quiesce; empty on resume
--          reason             text     why; may be empty on resume
--          actor              text     who
--          force              integer  1: resume although jobs still run
--          until_ms           integer  when it ends by itself; 0 for never
--          expected_version   integer  version that the caller saw; -1 for any
-- Replies  OK                 the new pause record
--          UNCHANGED, VERSION_CONFLICT, NOT_DRAINED   the record as it is; nothing written
--          UNTIL_PASSED       it would have ended already; nothing written
-- Flags    allow-oom
-- Repeat   not safe without expected_version: a second call may find its own change and answer UNCHANGED
local stored = redis.call('HGETALL', Q .. 'pause')
local record = {}
for at = 1, #stored, 2 do
  record[stored[at]] = stored[at + 1]
end
-- A lost record is written anew by an explicit call, with a version beyond all that were ever given out.
local version = math.max(tonumber(record.version or 0), tonumber(redis.call('HGET', KEYS[1], 'pause_version') or 0))

if action == 'pause' and until_ms > 0 and until_ms <= now then
  return { 'UNTIL_PASSED' }
end
if expected_version >= 0 and expected_version ~= version then
  return { 'VERSION_CONFLICT', stored }
end
local paused = record.paused == '1'
local forced = false
if action == 'resume' then
  if not paused and record.paused then
    return { 'UNCHANGED', stored }
  end
  if paused and redis.call('ZCARD', Q .. 'leases') > 0 then
    if force ~= 1 then
      return { 'NOT_DRAINED', stored }
    end
    forced = true
  end
elseif paused and record.mode == mode and record.reason == reason and tonumber(record['until'] or 0) == until_ms then
  return { 'UNCHANGED', stored }
end

if action == 'resume' then
  resume_workers(version + 1, actor, reason, forced)
else
  record_pause({ action = 'pause', version = version + 1, who = actor, why = reason, mode = mode,
    since = paused and record.requested_at or int(now), ends = until_ms })
end
return { 'OK', redis.call('HGETALL', Q .. 'pause') }
