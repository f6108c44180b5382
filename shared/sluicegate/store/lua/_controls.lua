-- Controls: what operators ask of one run: kept in its hash, told to its worker, remembered as control events.

local CONTROL_FIELDS = { 'control', 'control_version', 'control_by', 'control_reason', 'control_at', 'recovery',
  'recovery_id', 'summary', 'summary_id', 'message_id' }

-- Those that are set, as names and values; nothing for a run that nobody has controlled.
local function controls_of(id)
  local values = redis.call('HMGET', job_key(id), unpack(CONTROL_FIELDS))
  local pairs_of_them = {}
  for at, name in ipairs(CONTROL_FIELDS) do
    if values[at] then
      pairs_of_them[#pairs_of_them + 1] = name
      pairs_of_them[#pairs_of_them + 1] = values[at]
    end
  end
  return pairs_of_them
end

local function change_controls(id)
  redis.call('HINCRBY', job_key(id), 'control_version', '1')
  redis.call('HSETNX', job_key(id), 'control', '')
  redis.call('HSET', job_key(id), 'updated_at', int(now))
  notify('control', { id })
end

-- Tell the worker of a running job.
local function push_controls(job)
  redis.call('XADD', Q .. 'control', 'MAXLEN', '~', '1000', '*', 'kind', 'control', 'job', job.id, 'worker', job.owner,
    'token', job.token, unpack(controls_of(job.id)))
end

-- Remember what an operator did to a run (L-3): its id.
local function control_event(id, actor, action, metadata)
  return redis.call('XADD', job_key(id) .. ':controls', '*', 'actor', actor, 'action', action, 'metadata', metadata)
end
