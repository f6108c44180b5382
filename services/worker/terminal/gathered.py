"""What a terminal showed between two looks: all of it, or its beginning and end when that was too much."""

from __future__ import annotations

from typing import Literal, NamedTuple

from sluicegate.worker.terminal import Size

Kind = Literal["d", "size", "left_out"]


class Part(NamedTuple):
    """kind: `d` bytes; `size` columns and rows, `120x40`; `left_out` how many bytes are missing here."""

    kind: Kind
    data: bytes


class Gathered:
    """Takes whatever comes, keeps `most` bytes of it, and leaves out the middle."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._head: list[Part] = []
        self._head_bytes = 0
        self._tail = bytearray()
        self._gap = 0
        self._size: Size | None = None

    def __bool__(self) -> bool:
        return bool(self._head or self._tail or self._size)

    def add(self, data: bytes) -> None:
        half = self.most // 2
        if not self._tail and self._head_bytes + len(data) <= half:
            self._head.append(Part("d", data))
            self._head_bytes += len(data)
            return
        self._tail += data
        if (over := len(self._tail) - half) > 0:
            self._gap += over
            del self._tail[:over]

    def resize(self, size: Size) -> None:
        """In its place, unless what came after the head is so much that a part of that is left out."""
        if self._tail:
            self._size = size
        else:
            self._head.append(_sized(size))

    def take(self) -> list[Part]:
        """All of it, in order; neighbouring bytes as one part. Then it is empty."""
        parts = _joined(self._head)
        tail, gap = bytes(self._tail), self._gap
        if gap:
            # From a whole line on: a gap must not begin or end within a character or an escape sequence.
            cut, newline, rest = tail.partition(b"\n")
            if newline:
                tail, gap = rest, gap + len(cut) + 1
            parts.append(Part("left_out", str(gap).encode()))
        if tail:
            parts.append(Part("d", tail))
        if self._size is not None:
            parts.append(_sized(self._size))
        self._head, self._head_bytes, self._gap, self._size = [], 0, 0, None
        self._tail.clear()
        return parts if gap else _joined(parts)


def _joined(parts: list[Part]) -> list[Part]:
    joined: list[Part] = []
    for part in parts:
        if joined and part.kind == joined[-1].kind == "d":
            joined[-1] = Part("d", joined[-1].data + part.data)
        else:
            joined.append(part)
    return joined


def _sized(size: Size) -> Part:
    return Part("size", f"{size.columns}x{size.rows}".encode())
