"""What tokens look like: strings that are secrets whatever their value (H-13, 70-31).

Adding a shape is adding a row. `Sieve` says, many times faster than any search for each of them, that there
is nothing of the kind in some data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

REACH: Final = 16 * 1024
"""No shape is longer than this, so that a stream holds back at most this much."""
LOOK_BEHIND: Final = 8
"""More than any pattern looks back."""
FORM_BYTES: Final = 32
"""So much of a known value is enough for the sieve."""
SIEVE_BYTES: Final = 48
"""What the sieve looks for is no longer than this."""


class Shape(NamedTuple):
    starts: str
    """Literals, one of which begins every match: where a stream has to wait for more."""
    least: str
    """How every match begins, without a look behind or ahead: for the sieve."""
    pattern: bytes
    goes_on: bytes = rb"\S*"
    """What may stand behind a start while a match may still come of it."""
    over_blanks: bool = False
    """Whether blanks may stand there."""

    @property
    def behind(self) -> bytes:
        """What a start must not stand behind, as the pattern has it."""
        return _NOT_IN_WORD if self.pattern.startswith(_NOT_IN_WORD) else b""


_NOT_IN_WORD: Final = rb"(?<![A-Za-z0-9_])"
SHAPES: Final = (
    Shape(
        "ghp_|gho_|ghu_|ghs_|ghr_",
        "gh[opusr]_[A-Za-z0-9]{16}",
        _NOT_IN_WORD + rb"gh[opusr]_[A-Za-z0-9]{16,255}",
    ),
    Shape("github_pat_", "github_pat_", _NOT_IN_WORD + rb"github_pat_[A-Za-z0-9_]{16,255}"),
    Shape(
        "glpat-|gldt-|glrt-|glcbt-|glptt-|glft-|glsoat-|gloas-",
        "gl(?:pat|dt|rt|cbt|ptt|ft|soat|oas)-",
        _NOT_IN_WORD + rb"gl(?:pat|dt|rt|cbt|ptt|ft|soat|oas)-[A-Za-z0-9_.-]{16,255}",
    ),
    Shape("AKIA|ASIA", "A[KS]IA[A-Z0-9]{16}", _NOT_IN_WORD + rb"A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])"),
    Shape(
        "sk-",
        "sk-[A-Za-z0-9_-]{16}",
        _NOT_IN_WORD + rb"sk-(?=[A-Za-z_-]{0,250}[0-9])[A-Za-z0-9_-]{16,512}",
    ),
    Shape(
        "xoxa-|xoxb-|xoxe-|xoxo-|xoxp-|xoxr-|xoxs-",
        "xox[abeoprs]-",
        _NOT_IN_WORD + rb"xox[abeoprs]-[A-Za-z0-9-]{10,255}",
    ),
    Shape("xapp-", "xapp-", _NOT_IN_WORD + rb"xapp-[A-Za-z0-9-]{10,255}"),
    Shape("hooks.slack.com/", r"hooks\.slack\.com/", rb"hooks\.slack\.com/services/[A-Za-z0-9/_-]{16,255}"),
    Shape("AIza", "AIza", _NOT_IN_WORD + rb"AIza[A-Za-z0-9_-]{35}"),
    Shape("sgwt_|sgop_", "sg(?:wt|op)_", _NOT_IN_WORD + rb"sg(?:wt|op)_[A-Za-z0-9_-]{8,255}"),
    Shape(
        "eyJ",
        "eyJ[A-Za-z0-9_-]{8}",
        _NOT_IN_WORD + rb"eyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{8,2000}",
    ),
    Shape(
        "-----BEGIN ",
        "-----BEGIN ",
        rb"-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY-----"
        rb"(?:(?:(?!-----(?:BEGIN|END) )[\s\S]){0,12000}-----END [A-Z0-9 ]{0,32}PRIVATE KEY-----"
        rb"|(?:[A-Za-z0-9+/=\s\\:,]|-(?!-)){0,12000})",
        rb"(?:(?!-----END [A-Z0-9 ]{0,50}-----)[\s\S])*",
        over_blanks=True,
    ),
    Shape(
        "://",
        "://(?:[^ \t-\r/@\"'<>]{1,40}@|[^ \t-\r/@\"'<>]{41})",
        rb"://(?P<user>[^\s/@:\"'<>]{0,256}:[^\s/@\"'<>]{1,1024}@"
        rb"|(?:(?<=http://)|(?<=https://))[^\s/@:\"'<>]{1,1024}@)",
        rb"[^\s/@\"'<>]*",
    ),
)


class Sieve:
    """Looks for all shapes, and for the beginnings of known values, in one pass.

    Python's own patterns try one alternative after the other at every byte, which takes fifty times longer.
    The one that pydantic matches strings with is an automaton: it takes as long for a hundred as for one.
    """

    def __init__(self, forms: Iterable[bytes]) -> None:
        from pydantic_core import SchemaValidator, core_schema

        parts = [shape.least for shape in SHAPES] + [_literally(form[:FORM_BYTES]) for form in forms]
        self._validator: Any = SchemaValidator(core_schema.str_schema(pattern="|".join(parts)))

    def holds_back(self, data: bytes) -> bool:
        """Whether there may be a secret in it, or a private key that has only begun."""
        return bool(self._validator.isinstance_python(data.decode("latin-1")))


def _literally(form: bytes) -> str:
    characters = form.decode("latin-1")
    return "".join(each if re.match("[A-Za-z0-9]", each) else f"\\x{{{ord(each):x}}}" for each in characters)
