-- Appends changes to the stream of a campus, fenced: only what follows the last entry, in the same epoch. Entries have the
-- id <pos>-0. A plain XADD could not tell "already there" from "skipped for ever".
--   KEYS[1]  the stream
--   ARGV     epoch, MAXLEN, and for each change: pos, scope, subject, frame
-- Answers {OK | HAVE, top}, {GAP, top}: the changes after top are missing here, or {EPOCH, the stream's epoch}.
local top = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local head = 0
if #top > 0 then
  head = tonumber(string.match(top[1][1], '^%d+'))
  if top[1][2][2] ~= ARGV[1] then
    return {'EPOCH', top[1][2][2]}
  end
end
local answer = 'HAVE'
for at = 3, #ARGV, 4 do
  local pos = tonumber(ARGV[at])
  if pos > head then
    if head > 0 and pos ~= head + 1 then
      return {'GAP', string.format('%d', head)}
    end
    -- An emptied stream still refuses ids below its last: then others have been there before.
    local added = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], ARGV[at] .. '-0',
      'epoch', ARGV[1], 'scope', ARGV[at + 1], 'subject', ARGV[at + 2], 'frame', ARGV[at + 3])
    if type(added) == 'table' and added.err then
      if not string.find(added.err, 'equal or smaller', 1, true) then
        return added
      end
    else
      answer = 'OK'
    end
    head = pos
  end
end
return {answer, string.format('%d', head)}
