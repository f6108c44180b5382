"""The users of the store: what each service needs, taken from its code, as rules of an ACL file.

Commands and keys come from the scripts and calls of the store that a service can reach (`reachable.py`), so
that a new transition brings its rights with it. `make generated` writes `users.acl`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Set
from functools import cache
from typing import Final

from msgspec import Struct, field

from deploy.redis.reachable import modules_below, reached
from sluicegate import keys
from sluicegate.store import scripts

READS: Final = frozenset(
    {
        "exists", "get", "mget", "hget", "hgetall", "hkeys", "hlen", "hmget", "hvals", "hexists", "hscan",
        "llen", "xinfo|groups", "xlen", "xpending", "xrange", "xread", "xrevrange", "zcard", "zcount",
        "zlexcount", "zrange", "zrangebylex", "zrangebyscore", "zrevrangebyscore", "zscan", "zscore", "pttl",
    }
)  # fmt: skip
"""Commands that change nothing in the key they name."""
WRITES: Final = frozenset(
    {
        "blpop", "del", "expire", "hdel", "hincrby", "hset", "pexpire", "set", "xdel", "zadd", "zrem",
        "zremrangebyscore",
    }
)  # fmt: skip
"""The others that the store sends itself, outside of a script."""
SUBCOMMANDS: Final = frozenset({"CLIENT", "CONFIG", "XINFO", "XGROUP"})
KEYLESS: Final = frozenset(
    {"time", "info", "scan", "multi", "exec", "client|id", "client|unblock", "config|get"}
)
ALWAYS: Final = frozenset({"evalsha", "eval"})
"""Every call of a script; EVAL when a restarted server does not know it."""
EVERYWHERE: Final = "*"
"""A script that is told which key to look at: only the doctor's are."""

SERVICES: Final = {
    "queue_api": ("services.queue_api",),
    "control": ("services.control",),
    "worker": ("services.worker",),
    "sweeper": ("services.sweeper",),
    "operator": ("sluicegate.cli.doctor", "sluicegate.cli.tokens"),
}


class Rights(Struct):
    """commands: with their subcommands, `client|id`. reads, writes: patterns of keys."""

    commands: set[str] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)

    def rules(self) -> str:
        """As an ACL file has them: everything is forbidden that is not named."""
        words = ["resetkeys", "resetchannels", "-@all"]
        words += [f"+{name}" for name in sorted(self.commands)]
        words += [f"%R~{key}" for key in sorted(_narrowed(self.reads, self.writes))]
        words += [f"~{key}" for key in sorted(_narrowed(self.writes))]
        return " ".join(words)


@cache
def rights(service: str) -> Rights:
    """What a service's user needs."""
    names = reached(*(module for package in SERVICES[service] for module in modules_below(package)))
    found = Rights(set(ALWAYS), set(), {keys.META})
    if service == "operator":
        found.commands.add("ping")  # the health checks of containers
    of_the_store = [each for name, each in names.items() if name.module.startswith("sluicegate.store.")]
    for statement in of_the_store:
        _add_calls(found, statement)
    for script in sorted({each for statement in of_the_store for each in _scripts_run(statement)}):
        # A worker is let into a store that is there; laying out a new one is not its business.
        _add_script(found, script, laid_out=service == "worker" and script == "init")
    return found


def acl_file() -> str:
    """The text of `users.acl`: nobody can log in by it before passwords are added."""
    lines = [f"user sluicegate_{service} on resetpass {rights(service).rules()}" for service in SERVICES]
    return "\n".join(["user default reset off -@all", *lines]) + "\n"


def _scripts_run(statement: ast.stmt) -> Iterable[str]:
    """The scripts that a definition runs: the first argument of `run` and its like is always a literal."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            first = node.args[0]
            if node.func.attr in ("run", "run_many", "run_pipelined") and isinstance(first, ast.Constant):
                yield first.value


def _add_calls(found: Rights, statement: ast.stmt) -> None:
    """Commands that a definition of the store sends itself, with the keys that it mentions."""
    commands: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Tuple | ast.Call):
            words = node.elts if isinstance(node, ast.Tuple) else node.args
            texts = [word.value if isinstance(word, ast.Constant) else None for word in words[:3]]
            # `_pages(store, "HSCAN", key)` sends it too, though not as its first word.
            commands |= {sent for at in (0, 1) if (sent := _command(texts[at:]))}
    mentioned = {
        pattern
        for node in ast.walk(statement)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "keys"
        and (pattern := _pattern_of(node.attr))
    }
    found.commands |= commands
    into = found.reads if commands - KEYLESS <= READS else found.writes
    into |= mentioned


def _command(words: list[object]) -> str | None:
    """("CLIENT", "ID") -> `client|id`; None for what is no command."""
    first = words[0] if words else None
    if not isinstance(first, str) or not re.fullmatch(r"[A-Z]{3,}", first):
        return None
    second = words[1] if len(words) > 1 else None
    if first in SUBCOMMANDS and isinstance(second, str):
        return f"{first}|{second}".lower()
    known = first.lower()
    return known if known in READS | KEYLESS | WRITES else None


def _pattern_of(attribute: str) -> str | None:
    """`keys.META` -> the key, `keys.job` -> the pattern of all of them."""
    value = getattr(keys, attribute)
    if isinstance(value, str):
        return None if value == keys.Q else value
    if callable(value):
        return re.sub(r"\*+", "*", str(value(*"*" * value.__code__.co_argcount)))
    return None


def _add_script(found: Rights, name: str, *, laid_out: bool) -> None:
    text = scripts.script(name).plain_text
    calls = re.findall(r"redis\.call\('(\w+)'(?:, ('?[^,()]+(?:\([^()]*\))?(?: \.\. '[^']*')?))?", text)
    found.commands |= {_with_subcommand(command, word) for command, word in calls}
    if laid_out:
        return
    for shape in _shapes(text):
        uses = {command.lower() for command, key in calls if key.startswith(shape)}
        mentions = text.count(shape)
        reads_only = len([1 for _, key in calls if key.startswith(shape)]) == mentions and uses <= READS
        (found.reads if reads_only else found.writes).add(_as_pattern(shape))


def _with_subcommand(command: str, word: str) -> str:
    return f"{command}|{word[1:-1]}".lower() if command in SUBCOMMANDS else command.lower()


def _shapes(text: str) -> set[str]:
    """Each `Q .. 'lanes'` of a script; a name in a variable stands for those that its loop goes through."""
    shapes = set(re.findall(r"\bQ \.\. '[^']+'", text))
    named = re.findall(r"\bQ \.\. \(([^)]+)\)", text)
    if re.search(r"\bQ \.\. name\b", text):
        loops = re.findall(r"for _, name in ipairs\(\{([^}]+)\}\) do\n +if redis\.call\('EXISTS', Q", text)
        if not loops:
            return {EVERYWHERE}
        named += loops
    return shapes | {f"Q .. '{each}'" for part in named for each in re.findall(r"'([^']+)'", part)}


def _as_pattern(shape: str) -> str:
    if shape == EVERYWHERE:
        return f"{keys.Q}*"
    name = shape.partition("'")[2].rstrip("'")
    return f"{keys.Q}{name}*" if name.endswith(":") else f"{keys.Q}{name}"


def _narrowed(patterns: set[str], by: Set[str] = frozenset()) -> set[str]:
    """Without those that a wider one covers."""
    wide = [each[:-1] for each in patterns | by if each.endswith("*") and "*" not in each[:-1]]
    return {
        each
        for each in patterns - by
        if not any(each != f"{start}*" and each.startswith(start) for start in wide)
    }
