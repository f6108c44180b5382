"""Load over HTTP from `wrk`: a client in C, so that what is measured is the server."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from benchmarks.subject import Unmeasured

SCRIPT: Final = """
wrk.method = "POST"
wrk.body = [=[%s]=]
wrk.headers["Content-Type"] = "application/json"
function done(summary, latency, _)
  io.write(string.format('\\n{"requests":%%d,"micros":%%d,"refused":%%d,"failed":%%d,"p50":%%d,"p99":%%d}\\n',
    summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


class Load(NamedTuple):
    """per_second: answered requests. Times in ms."""

    per_second: float
    p50: float
    p99: float


class _Summary(msgspec.Struct):
    requests: int
    micros: int
    refused: int
    failed: int
    p50: int
    p99: int


async def post(url: str, body: str, folder: Path, *, connections: int, seconds: float) -> Load:
    """The same request again and again on each connection. Raises Unmeasured, also for a single refusal."""
    binary = shutil.which("wrk")
    if binary is None:
        raise Unmeasured("there is no `wrk` here; Debian and Homebrew have a package of that name")
    script = folder / "post.lua"
    script.write_text(SCRIPT % body)
    process = await asyncio.create_subprocess_exec(
        binary, "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", str(script), url,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    said = output.decode(errors="replace").strip()
    try:
        found = msgspec.json.decode(said.splitlines()[-1], type=_Summary)
    except (msgspec.DecodeError, IndexError) as error:
        raise Unmeasured(f"wrk said: {said}") from error
    if found.refused or found.failed or not found.requests:
        raise Unmeasured(f"{found.refused} requests were refused and {found.failed} failed:\n{said}")
    return Load(found.requests / found.micros * 1e6, found.p50 / 1000, found.p99 / 1000)
