"""A failure's signature: equal for the same failure in two attempts, different for two failures (H-14).

What differs from attempt to attempt (times, ids, places, addresses, progress, the order of tests that run
at once) is replaced or dropped by the rules of `noise.py`; of what is left the lines that tell of the
failure are kept. The output has to be redacted before: what is left is shown to people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from services.worker.heal import noise, screen

RECENT_LINES: Final = 400
"""What stands further up belongs to work that went well, or to a failure whose end is told again below."""
MOST_LINES: Final = 40
NO_COMPLAINT: Final = 5
"""Last lines that stand for a failure of which no line looks like an error."""
HASH_DIGITS: Final = 16


def signature(output: bytes | str, *, cause: str = "", roots: Sequence[Path] = ()) -> str:
    """16 hexadecimal digits. Says the same as `essence`, but for the order of its lines."""
    lines = sorted(set(essence(output, cause=cause, roots=roots).splitlines()))
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:HASH_DIGITS]


def essence(output: bytes | str, *, cause: str = "", roots: Sequence[Path] = ()) -> str:
    """What the signature is made of, for people: the failure's lines, with `*` for what varies.

    cause: how it ended, like `exit code 2`; it counts too. roots: folders whose place says nothing, like the
    work tree: the paths below them count as relative ones.
    """
    seen = screen.lines(output)[-RECENT_LINES:]
    cleaned = noise.cleaned(seen, [str(root) for root in roots])
    return "\n".join([*([cause] if cause else []), *_telling(cleaned)])


def _telling(lines: Iterable[str]) -> list[str]:
    """The lines that complain, and the last one, which often says what gave up; each once, some of any.

    A line without a word is none of them: it is the frame at which a spinner was stopped.
    """
    said = list(dict.fromkeys(line for line in lines if any(map(str.isalnum, line))))
    found = [line for line in said if not noise.says_nothing(line)] or said
    complaints = [line for line in found if noise.complains(line)]
    if not complaints:
        return found[-NO_COMPLAINT:]
    kept = complaints[-MOST_LINES:]
    return kept if not found or found[-1] in kept else [*kept, found[-1]]
