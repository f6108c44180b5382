-- pause: change the switch that all claims obey. From the reply on, no claim opens an attempt.
-- From     (any)              To  (any)
-- Args     action             text     pause or resume
--          mode               text     drain or quiesce; empty on resume
--          reason             text     why; may be empty on resume
--          actor              text     who
--          force              integer  1: resume although jobs still run
--          expected_version   integer  version that the caller saw; -1 for any
-- Replies  OK                 the new pause record
--          UNCHANGED, VERSION_CONFLICT, NOT_DRAINED   the record as it is; nothing written
-- Flags    allow-oom
-- Repeat   not safe without expected_version: a second call may find its own change and answer UNCHANGED
local stored = redis.call('HGETALL', Q .. 'pause')
local record = {}
for at = 1, #stored, 2 do
  record[stored[at]] = stored[at + 1]
end
-- A lost record is written anew by an explicit call, with a version beyond all that were ever given out.
local version = math.max(tonumber(record.version or 0), tonumber(redis.call('HGET', KEYS[1], 'pause_version') or 0))

if expected_version >= 0 and expected_version ~= version then
  return { 'VERSION_CONFLICT', stored }
end
local paused = record.paused == '1'
local forced = 0
if action == 'resume' then
  if not paused and record.paused then
    return { 'UNCHANGED', stored }
  end
  if paused and redis.call('ZCARD', Q .. 'leases') > 0 then
    if force ~= 1 then
      return { 'NOT_DRAINED', stored }
    end
    forced = 1
  end
elseif paused and record.mode == mode and record.reason == reason then
  return { 'UNCHANGED', stored }
end

version = version + 1
redis.call('HSET', KEYS[1], 'pause_version', int(version))
local key = Q .. 'pause'
if action == 'pause' then
  redis.call('HSET', key, 'paused', '1', 'mode', mode, 'reason', reason, 'by', actor,
    'requested_at', paused and record.requested_at or int(now), 'updated_at', int(now), 'version', int(version))
else
  redis.call('HDEL', key, 'mode', 'reason', 'by', 'requested_at', 'until')
  redis.call('HSET', key, 'paused', '0', 'updated_at', int(now), 'version', int(version))
end
redis.call('XADD', Q .. 'audit', '*', 'control', 'worker_pause', 'action', action, 'mode', mode, 'reason', reason,
  'actor', actor, 'forced', int(forced))
redis.call('XADD', Q .. 'control', 'MAXLEN', '~', '1000', '*', 'kind', 'pause', unpack(redis.call('HGETALL', key)))
count('pause:' .. action .. ':' .. mode, 1)
notify('pause', { 'system' })
if action == 'resume' then
  -- What became ready or due meanwhile rang bells that nobody could answer: ring them all once more.
  local policies = redis.call('HKEYS', Q .. 'policies')
  for _, policy in ipairs(policies) do
    if redis.call('LLEN', Q .. 'bell:' .. policy) == 0 then
      redis.call('RPUSH', Q .. 'bell:' .. policy, '1')
    end
  end
end
return { 'OK', redis.call('HGETALL', key) }
