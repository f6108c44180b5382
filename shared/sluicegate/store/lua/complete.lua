-- complete: end attempts as succeeded. A complete wins over a cancel request that nobody obeyed yet.
-- From     running            To  succeeded
-- Args     worker             text     worker id
-- Each     id                 text     job
--          token              text     lease token
--          result             text     summary for people; empty for none
-- Replies  OK                 one word per job: OK, REPEATED, LEASE_LOST, OWNERSHIP_MISMATCH, JOB_NOT_FOUND
-- Flags    allow-oom
-- Repeat   safe: same token and verb gets REPEATED; anything else LEASE_LOST
local FIELDS = { 'status', 'token', 'owner', 'lane', 'entry', 'attempt', 'cancel_at', 'ended' }
local words, ids, scores = {}, {}, {}
local streams, order = {}, {}
for at = 1, N do
  local id, token, result = each(at)
  local job = load_job(id, FIELDS)
  local word = refusal(job, worker, token, 'complete')
  words[at] = word or 'OK'
  if not word then
    local key = job_key(id)
    local name = job.lane .. string.sub(job.entry, 1, 2)
    local stream = streams[name]
    if not stream then
      stream = { lane = job.lane, class = string.sub(job.entry, 1, 2), entries = {} }
      streams[name] = stream
      order[#order + 1] = stream
    end
    stream.entries[#stream.entries + 1] = string.sub(job.entry, 3)
    if result ~= '' then
      redis.call('HSET', key, 'result', result)
    end
    -- Its reference to the lane stays: in a terminal state nobody reads it, and removing it is a command more.
    redis.call('HSET', key, 'status', 'succeeded', 'finished_at', int(now),
      'ended', ending(token, 'complete', worker))
    if job.cancel_at then
      cancel_event(job, 'job.cancel.too_late', 'workerId', worker)
    end
    next_event(id, 'job.succeeded', 'workerId', worker, 'attempt', int(job.attempt))
    free_slots(job.lane, id)
    ids[#ids + 1] = id
    scores[#scores + 1] = int(now)
    scores[#scores + 1] = id
  end
end
if #ids > 0 then
  for _, stream in ipairs(order) do
    settle(stream.lane, stream.class, stream.entries)
    flow(stream.lane, 'succeeded', #stream.entries)
  end
  redis.call('ZREM', Q .. 'leases', unpack(ids))
  redis.call('ZREM', Q .. 'status:running', unpack(ids))
  redis.call('ZADD', Q .. 'status:succeeded', unpack(scores))
  count('finished:succeeded', #ids)
  notify('succeeded', ids)
end
return { 'OK', words }
