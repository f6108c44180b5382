"""Multipart forms as bytes, in any order and with any fault: what aiohttp's own writer would not send."""

from __future__ import annotations

from collections.abc import Sequence

BOUNDARY = "b0undary"
HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
Part = tuple[str, bytes]


def form(parts: Sequence[Part], *, end: bool = True) -> bytes:
    """name `file` is sent as a file. end: with the last boundary."""
    raw = b""
    for name, value in parts:
        file = '; filename="content"' if name == "file" else ""
        raw += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
        raw += value + b"\r\n"
    return raw + (f"--{BOUNDARY}--\r\n".encode() if end else b"")
