-- Adds records to a stream under the ids their sequencer fixed. Idempotent: a record whose identity or id is there
-- already is not added again. Refused as a whole unless the epoch, the lease and the stream's last id are as expected.
-- KEYS: stream, epoch, lease, published, arrivals, staff, codes, erased, rq:queues, then queue and job key of each sink
-- ARGV: epoch, lease, last id published, then of each sink its job id, then seven a record:
--       id, version, identity, payload, look-up ('', 'staff', 'codes' or 'erased'), look-up field, look-up value
-- Replies: {'EPOCH'} | {'FENCED'} | {'FORGOT', last id} | {'OK', jobs missing (0 or 1), an id a record}, where the id
-- is the one under which the record stands, or '' when it came too late to stand under its own.
local stream, published = KEYS[1], KEYS[4]
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return {'EPOCH'} end
if redis.call('GET', KEYS[3]) ~= ARGV[2] then return {'FENCED'} end
local last = last_id(stream)
if above(ARGV[3], last) then return {'FORGOT', last} end

local sinks = (#KEYS - 9) / 2
local results, added = {'OK', 0}, 0
for i = 4 + sinks, #ARGV, 7 do
    local id, identity = ARGV[i], ARGV[i + 2]
    local standing = redis.call('HGET', published, identity)
    -- An id above the stream's last was lost with the stream's end, and is being healed.
    if standing and above(standing, last) then standing = false end
    if not standing then
        if above(id, last) then
            redis.call('XADD', stream, id, 'v', ARGV[i + 1], 'id', identity, 'r', ARGV[i + 3])
            last, standing, added = id, id, added + 1
            if ARGV[i + 4] == 'staff' then redis.call('HSET', KEYS[6], ARGV[i + 5], ARGV[i + 6]) end
            if ARGV[i + 4] == 'codes' then redis.call('HSET', KEYS[7], ARGV[i + 5], ARGV[i + 6]) end
            if ARGV[i + 4] == 'erased' then redis.call('HSET', KEYS[8], ARGV[i + 5], id) end
        elseif #redis.call('XRANGE', stream, id, id) == 1 then
            standing = id
        end
        if standing then redis.call('HSET', published, identity, standing) end
    end
    if standing then redis.call('HDEL', KEYS[5], identity) end
    results[#results + 1] = standing or ''
end

for sink = 1, sinks do
    local queue, job = KEYS[8 + 2 * sink], KEYS[9 + 2 * sink]
    redis.call('SADD', KEYS[9], queue)
    local tokens = {}
    for n = 1, added do tokens[n] = ARGV[3 + sink] end
    if added > 0 then redis.call('RPUSH', queue, unpack(tokens)) end
    if redis.call('EXISTS', job) == 0 then results[2] = 1 end
end
return results
