-- examine_entries: a page of the entries of a lane, or of the dead letters: those that stand for nothing.
-- From     (any)              To  (any)
-- Args     name               text     lane and class, or dead
--          after              text     the page begins behind this entry
--          limit              integer  entries of a page, 1 to 500
-- Replies  OK                 where the next page begins ('' at the end), and per bad entry its id, its job, and
--                             NO_RECORD, ENDED, ELSEWHERE or GHOST (held, and not there)
-- Flags    no-writes
-- Repeat   safe: reads only
local stream = name == 'dead' and Q .. 'dead' or Q .. 'lane:' .. name
if redis.call('EXISTS', stream) == 0 then
  return { 'OK', '', {} }
end
local entries = redis.call('XRANGE', stream, '(' .. after, '+', 'COUNT', int(limit))
local last = #entries == limit and entries[#entries][1] or ''
local held = {}
if name ~= 'dead' and delivered_to(stream) then
  held = redis.call('XPENDING', stream, 'workers', '(' .. after, last ~= '' and last or '+', int(limit))
  if #held == limit then
    last = held[#held][1]
  end
end
local bad, there = {}, {}
for _, entry in ipairs(entries) do
  if last == '' or not is_after(entry[1], last) then
    local id = entry[2][1] == 'job' and entry[2][2] or nil
    local why = dangling(name, entry[1], id)
    there[entry[1]] = true
    if why then
      bad[#bad + 1] = { entry[1], id or '', why }
    end
  end
end
for _, each_held in ipairs(held) do
  if not there[each_held[1]] then
    bad[#bad + 1] = { each_held[1], '', 'GHOST' }
  end
end
return { 'OK', last, bad }
