-- Puts a sink's group where the sink's own data ends, so that the next read continues there.
-- KEYS: stream, trimmed
-- ARGV: log, group, head id
-- Reply: 'OK' | 'TRIMMED' when the stream no longer reaches back to the head.
local stream, log, group, head = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local trimmed = redis.call('HGET', KEYS[2], log)
if trimmed and above(trimmed, head) then return 'TRIMMED' end
local over, from = 0, '(' .. head
while true do
    local some = redis.call('XRANGE', stream, from, '+', 'COUNT', 1000)
    over = over + #some
    if #some < 1000 then break end
    from = '(' .. some[#some][1]
end
local state = groups_of(stream)[group]
if state and state['last-delivered-id'] == head and state['pending'] == 0 and state['lag'] == over then return 'OK' end
if not state then
    redis.call('XGROUP', 'CREATE', stream, group, head, 'MKSTREAM')
end
-- Entries read is counted from the first entry ever added; the server computes the lag from it.
local read = named(redis.call('XINFO', 'STREAM', stream))['entries-added'] - over
if state and state['last-delivered-id'] == head and state['pending'] == 0 and state['entries-read'] == read then
    return 'OK'
end
redis.call('XGROUP', 'SETID', stream, group, head, 'ENTRIESREAD', read)
-- What an earlier process had taken and not acknowledged is in the sink's data, or is delivered again.
while true do
    local pending = redis.call('XPENDING', stream, group, '-', '+', 1000)
    if #pending == 0 then break end
    local ids = {}
    for n, entry in ipairs(pending) do ids[n] = entry[1] end
    redis.call('XACK', stream, group, unpack(ids))
end
return 'OK'
