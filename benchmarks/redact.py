"""How fast secrets are taken out of output, beside a plain copy of the same pieces."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final

from benchmarks.subject import Measure, Reading, Round, Scale, Subject, Unmeasured
from sluicegate.redact import Redactor

MEGABYTE: Final = 1_000_000
TERMINAL: Final = 4095
"""A terminal gives no more at a time."""
PIPE: Final = 64 * 1024
LINES_PER_SECRET: Final = 2000
SECRETS: Final = (
    "hunter2-0815-planted",
    "postgres-password-4711",
    'corp"quoted\\value',
    "s3cr3t/with+odd=chars&more",
    "whsec_51Habcdefghijk",
    "AnotherOneThatIsLonger-0123456789-abcdef",
    "0f" * 32,
)
WORDS: Final = (
    "build", "path", "global", "request", "error", "test", "function", "index", "length", "string", "assert",
    "token", "config", "module", "package", "class", "return", "async", "message", "through", "right",
    "enough", "github", "gitlab", "shell", "task-runner", "risk-free", "user",
)  # fmt: skip


def _lines(pick: random.Random) -> Sequence[Callable[[], str]]:
    """Kinds of lines, as often as an agent's output has them."""

    def words(count: int) -> str:
        return " ".join(pick.choices(WORDS, k=count))

    def number(below: int) -> int:
        return pick.randrange(below)

    return (
        lambda: f"\x1b[32m2026-11-28T01:{number(60):02}:{number(60):02}.{number(1000):03}Z\x1b[0m {words(9)}",
        lambda: f"npm http fetch GET 200 https://registry.npmjs.org/{words(1)}/-/{words(1)}-{number(9)}.tgz",
        lambda: f"tests/unit/test_{words(1)}.py::test_{words(1)}_{words(1)} PASSED [{number(100):3}%]",
        lambda: f'  File "/srv/app/{words(1)}/{words(1)}.py", line {number(900)}, in {words(1)}',
        lambda: f"commit {pick.getrandbits(160):040x} by A U Thor <author@example.org>",
        lambda: f"\rReceiving objects: {number(100)}% ({number(99999)}/99999), 12.3 MiB | 4.5 MiB/s",
        lambda: f'+    {words(1)}[{number(99)}] = {words(1)}({words(1)}, "{words(4)}");',
    )


def output(size: int) -> bytes:
    """Terminal output with a secret in one line of two thousand, the same every time."""
    pick = random.Random(7)
    kinds = _lines(pick)
    shown = [*SECRETS, "ghp_" + "a1B2" * 9, "https://user:pa55word@github.com/acme/app.git"]
    lines: list[str] = []
    written = 0
    while written < size:
        line = pick.choice(kinds)()
        if len(lines) % LINES_PER_SECRET == LINES_PER_SECRET - 1:
            line += f" {pick.choice(shown)} {line}"
        lines.append(line)
        written += len(line) + 2
    return "\r\n".join(lines).encode()[:size]


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    """Each way's output is compared with what redacting it whole gives."""
    data = output(scale.of(48, quick=2) * MEGABYTE)
    redactor = Redactor(SECRETS)
    pick = random.Random(8)
    many = Redactor([*SECRETS, *(f"{pick.getrandbits(120):x}" for _ in range(100))])
    expected = redactor.data(data)
    for _ in scale.rounds:
        found: Round = {}
        for name, knows, piece in (
            ("redacting in pieces of 4 kB", redactor, TERMINAL),
            ("in pieces of 64 KiB", redactor, PIPE),
            ("in pieces of 4 kB, 107 known values", many, TERMINAL),
        ):
            pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
            measure = Measure(name=name, unit="MB/s", more_is_better=True, target=100, ceiling="plain copy")
            found[measure] = Reading(_redacted(knows, pieces, expected), _copied(pieces))
        yield found


def _redacted(redactor: Redactor, pieces: Sequence[bytes], expected: bytes) -> float:
    started = time.perf_counter()
    stream, out = redactor.stream(), bytearray()
    for piece in pieces:
        out += stream.feed(piece)
    out += stream.close()
    seconds = time.perf_counter() - started
    if out != expected:
        raise Unmeasured("a stream gave another output than the whole")
    return sum(map(len, pieces)) / MEGABYTE / seconds


def _copied(pieces: Sequence[bytes]) -> float:
    started = time.perf_counter()
    out = bytearray()
    for piece in pieces:
        out += piece
    return len(out) / MEGABYTE / (time.perf_counter() - started)


SUBJECT: Final = Subject(
    name="redact", says="taking secrets out of output that comes in pieces", rounds=rounds
)
