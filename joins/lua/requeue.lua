-- Hands the record of a dead letter to the sequencer again, once.
-- KEYS: dead letters, requeued, inbox
-- ARGV: the letter's id, who asks (so that a repeated call is known), the item for the inbox, the time
-- Reply: 'QUEUED' | 'GONE' | the time when it was requeued before.
local before = redis.call('HGET', KEYS[2], ARGV[1])
if before then
    local time, who = string.match(before, '^(%S+) (.*)$')
    return who == ARGV[2] and 'QUEUED' or time
end
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then return 'GONE' end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[4] .. ' ' .. ARGV[2])
redis.call('RPUSH', KEYS[3], ARGV[3])
return 'QUEUED'
