-- Acknowledges entries of a sink's group and makes the sink's RQ queue as long as its true backlog.
-- KEYS: queue, rq:queues, then each stream
-- ARGV: group, job id, tokens in hand (1 while a job runs), then for each stream the number of ids, and the ids
-- Reply: the backlog over all streams; -1 when a group is missing.
local group, job, busy = ARGV[1], ARGV[2], tonumber(ARGV[3])
local at, backlog = 4, 0
for s = 3, #KEYS do
    local stream, count = KEYS[s], tonumber(ARGV[at])
    if count > 0 then redis.call('XACK', stream, group, unpack(ARGV, at + 1, at + count)) end
    at = at + 1 + count
    local state = groups_of(stream)[group]
    if not state then return -1 end
    local lag = state['lag']
    if lag ~= 0 and not above(last_id(stream), state['last-delivered-id']) then
        -- Entries were added below the group, to heal a server that forgot, and the server took them for new ones.
        local added = named(redis.call('XINFO', 'STREAM', stream))['entries-added']
        redis.call('XGROUP', 'SETID', stream, group, state['last-delivered-id'], 'ENTRIESREAD', added)
        lag = 0
    end
    if not lag then
        -- The server lost count (XDEL, XGROUP SETID by hand): count what is above the group.
        lag = 0
        local from = '(' .. state['last-delivered-id']
        while true do
            local some = redis.call('XRANGE', stream, from, '+', 'COUNT', 1000)
            lag = lag + #some
            if #some < 1000 then break end
            from = '(' .. some[#some][1]
        end
    end
    backlog = backlog + lag + state['pending']
end

redis.call('SADD', KEYS[2], KEYS[1])
local wanted = math.max(0, backlog - busy)
local length = redis.call('LLEN', KEYS[1])
if length > wanted then
    redis.call('LPOP', KEYS[1], length - wanted)
else
    while length < wanted do
        local tokens = {}
        for n = 1, math.min(1000, wanted - length) do tokens[n] = job end
        length = redis.call('RPUSH', KEYS[1], unpack(tokens))
    end
end
return backlog
