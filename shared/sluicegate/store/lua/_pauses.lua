-- Pauses: what all that pause and resume share.

-- Wake one idle worker of each policy: what became ready or due meanwhile rang bells that nobody could answer.
local function ring_all()
  local policies = redis.call('HKEYS', Q .. 'policies')
  for _, policy in ipairs(policies) do
    ring_bell(policy)
  end
end

-- Write what the pause of all workers is now: to those who look, those who listen, and the audit. With `action` and
-- `version`: who, why, mode, since (ms, text), ends (ms, 0 for never), forced; a resume has none of the middle three.
local function record_pause(change)
  local key = Q .. 'pause'
  redis.call('HSET', KEYS[1], 'pause_version', int(change.version))
  redis.call('HDEL', key, 'mode', 'reason', 'by', 'requested_at', 'until')
  redis.call('HSET', key, 'paused', '0', 'updated_at', int(now), 'version', int(change.version))
  local ends = ''
  if change.action == 'pause' then
    redis.call('HSET', key, 'paused', '1', 'mode', change.mode, 'reason', change.why, 'by', change.who,
      'requested_at', change.since)
    if change.ends > 0 then
      ends = int(change.ends)
      redis.call('HSET', key, 'until', ends)
    end
  end
  redis.call('XADD', Q .. 'audit', '*', 'control', 'worker_pause', 'action', change.action, 'mode', change.mode or '',
    'reason', change.why, 'actor', change.who, 'forced', change.forced and '1' or '0', 'until', ends)
  redis.call('XADD', Q .. 'control', 'MAXLEN', '~', '1000', '*', 'kind', 'pause', unpack(redis.call('HGETALL', key)))
  count('pause:' .. change.action .. ':' .. (change.mode or ''), 1)
  notify('pause', { 'system' })
end

-- Let all workers go on.
local function resume_workers(version, who, why, forced)
  record_pause({ action = 'resume', version = version, who = who, why = why, forced = forced })
  ring_all()
end
