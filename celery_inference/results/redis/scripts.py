"""What Redis runs alone, in its own language: an item and the lists of its partition change together.

An item is a string: its attributes as JSON, and after a newline its value. Where a partition has more than one item,
its places are a sorted set, and the places in order of time another; a set expires with the last of its items.
`EXPIRETIME` needs Redis 7 or Valkey.
"""

_LIST = """
local function list(key, member, ttl)
  if redis.call('EXISTS', key) == 0 then
    redis.call('ZADD', key, 0, member)
    if ttl ~= '' then redis.call('EXPIREAT', key, ttl) end
    return
  end
  redis.call('ZADD', key, 0, member)
  local ends = redis.call('EXPIRETIME', key)
  if ttl == '' then redis.call('PERSIST', key)
  elseif ends >= 0 and ends < tonumber(ttl) then redis.call('EXPIREAT', key, ttl) end
end
"""
_UNLIST = """
local function unlist(raw)
  local line = string.find(raw, '\\n', 1, true)
  local at = cjson.decode(line and string.sub(raw, 1, line - 1) or raw)['at']
  if at then redis.call('ZREM', KEYS[3], at .. '\\0' .. ARGV[1]) end
end
"""

# KEYS: the item, the list of places, that by time. ARGV: the place, '' where it is alone in its partition; the item it
# is taken for, '' for none, or '*' for any; the new one; its ttl or ''; `at` or ''; the channel that is told, or ''.
# Returns '' when it is written, and else the item that is there, after a '+'. A full Redis refuses the first write, so
# that nothing is written then.
WRITE = (
    _LIST
    + _UNLIST
    + """
local present = redis.call('GET', KEYS[1])
if ARGV[2] ~= '*' and (present or '') ~= ARGV[2] then return '+' .. (present or '') end
if ARGV[4] == '' then redis.call('SET', KEYS[1], ARGV[3])
else redis.call('SET', KEYS[1], ARGV[3], 'EXAT', ARGV[4]) end
if ARGV[1] ~= '' then
  if present then unlist(present) end
  list(KEYS[2], ARGV[1], ARGV[4])
  if ARGV[5] ~= '' then list(KEYS[3], ARGV[5] .. '\\0' .. ARGV[1], ARGV[4]) end
end
if ARGV[6] ~= '' then redis.call('PUBLISH', ARGV[6], '') end
return ''
"""
)

# KEYS as above, ARGV: the place. Returns the item that was there.
DELETE = (
    _UNLIST
    + """
local present = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
if present then unlist(present) end
return present
"""
)

# KEYS: the item and a list, ARGV: a member. Takes what has expired off the list.
FORGET = "if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('ZREM', KEYS[2], ARGV[1]) end"
