"""The whole store at one moment: told apart by a digest, looked at, put back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, Self

import hiredis
import redis

from sluicegate import keys
from sluicegate.store import scripts
from sluicegate.store.connection import Store
from sluicegate.store.rendering import fields
from tests.random_walk.calls import Call
from tests.random_walk.comparison import Seen, Stored, acts, kinds
from tests.random_walk.judging import narrows_of, pause_of

_DIGEST: Final = """
local names, dumps = redis.call('KEYS', ARGV[1]), {}
table.sort(names)
for at, name in ipairs(names) do
  dumps[at] = name .. redis.call('DUMP', name)
end
return redis.sha1hex(table.concat(dumps))
"""
_LOOK: Final = """
local names, found = redis.call('KEYS', ARGV[1]), {}
table.sort(names)
for at, name in ipairs(names) do
  local kind, value = redis.call('TYPE', name).ok, nil
  if kind == 'hash' then value = redis.call('HGETALL', name)
  elseif kind == 'zset' then value = redis.call('ZRANGE', name, '0', '-1', 'WITHSCORES')
  elseif kind == 'list' then value = redis.call('LRANGE', name, '0', '-1')
  elseif kind == 'string' then value = redis.call('GET', name)
  else
    value = { redis.call('XRANGE', name, '-', '+'), {} }
    if #redis.call('XINFO', 'GROUPS', name) > 0 then
      for place, entry in ipairs(redis.call('XPENDING', name, 'workers', '-', '+', '100')) do
        value[2][place] = entry[1]
      end
    end
  end
  found[at] = { name, value, redis.call('DUMP', name), redis.call('PTTL', name) }
end
local clock = redis.call('TIME')
return { clock[1] * 1000 + math.floor(clock[2] / 1000), found }
"""
# FLUSHDB takes ten times as long as removing the few keys that there are.
_RESTORE: Final = """
redis.call('DEL', '', unpack(redis.call('KEYS', '*')))
for at = 1, #ARGV, 3 do
  redis.call('RESTORE', ARGV[at], ARGV[at + 2], ARGV[at + 1])
end
local clock = redis.call('TIME')
return clock[1] * 1000 + math.floor(clock[2] / 1000)
"""
_NARROW_ENDS: Final = """
local record = redis.call('HGET', KEYS[1], ARGV[1])
local moved = string.gsub(record, '^(%l+ %d+ %d+ %d+ )%d+', '%1' .. ARGV[2])
return redis.call('HSET', KEYS[1], ARGV[1], moved)
"""
EVERYTHING: Final = keys.Q + "*"
Command = tuple[Any, ...]
DIGEST: Final[Command] = ("EVAL", _DIGEST, 0, EVERYTHING)
LOOK: Final[Command] = ("EVAL", _LOOK, 0, EVERYTHING)


def narrow_ends(name: str, until: int) -> Command:
    """The end of a narrower pause is then."""
    return ("EVAL", _NARROW_ENDS, 1, keys.PAUSES, name, until)


async def digest(store: Store) -> str:
    """Equal ones: nothing was written in between."""
    found: str = await store.command(*DIGEST)
    return found


class Snapshot(NamedTuple):
    """taken: the store's time, in ms. contents: by key, without its tag; a stream with what is pending."""

    taken: int
    contents: dict[str, Any]
    dumps: tuple[bytes | int, ...]

    @classmethod
    def of(cls, reply: Sequence[Any]) -> Self:
        contents, dumps = {}, []
        for name, value, dump, expires_ms in reply[1]:
            contents[name.removeprefix(keys.Q)] = value
            dumps += [name.encode(), dump.encode("latin-1"), max(expires_ms, 0)]
        return cls(int(reply[0]), contents, tuple(dumps))

    @property
    def restored(self) -> Command:
        """The command that makes the store this one; it answers with the store's time."""
        return ("EVAL", _RESTORE, 0, *self.dumps)

    def differences(self, other: Snapshot) -> set[str]:
        """The keys that are not the same in both."""
        names = self.contents | other.contents
        return {name for name in names if self.contents.get(name) != other.contents.get(name)}

    def seen(self, job_ids: Iterable[str], before: int) -> Seen:
        leases = fields(self.contents.get("leases", ()))
        found = {}
        for job_id in job_ids:
            events, _ = self.contents.get(f"job:{job_id}:events", ((), ()))
            controls, _ = self.contents.get(f"job:{job_id}:controls", ((), ()))
            stored = fields(self.contents[f"job:{job_id}"])
            found[job_id] = Stored(stored, leases.get(job_id), kinds(events), acts(controls))
        narrow = narrows_of(self.contents.get("pauses", ()))
        return Seen(found, pause_of(self.contents["pause"]), narrow, before, self.taken)


class Line:
    """One connection on which many commands are sent in one go: round trips would take most of the time."""

    def __init__(self, url: str) -> None:
        # Every byte is a character: dumps come and go as they are.
        self._pool = redis.ConnectionPool.from_url(url, protocol=2, encoding="latin-1", decode_responses=True)
        self._connection = self._pool.make_connection()
        self.ask([("SCRIPT", "LOAD", scripts.script(name).text) for name in scripts.names()])

    def ask(self, commands: Iterable[Command]) -> list[Any]:
        packed = [hiredis.pack_command(each) for each in commands]
        self._connection.send_packed_command(packed)
        return [self._read() for _ in packed]

    def _read(self) -> Any:
        """An error is an answer too: one left unread would answer the next command."""
        try:
            return self._connection.read_response()
        except redis.ResponseError as error:
            return error

    def close(self) -> None:
        self._connection.disconnect()


def command(call: Call) -> Command:
    """The call as the store would send it."""
    chosen = scripts.script(call.script)
    return ("EVALSHA", chosen.sha, 1, keys.META, *chosen.argv(call.args, call.items))
