-- Prolongs a lease (ARGV[2] milliseconds) or, with 0, gives it up. Reply: 1, or 0 when it is no longer held.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
