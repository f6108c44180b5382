"""A page's form, filled in and sent as a browser without JavaScript does it."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import NamedTuple

from aiohttp import ClientSession


class Answer(NamedTuple):
    """where: the address that a redirect leads to."""

    status: int
    where: str
    text: str

    @property
    def words(self) -> str:
        return words(self.text)


async def send(
    session: ClientSession, url: str, *, page: str | None = None, **fields: str | Sequence[str]
) -> Answer:
    """Post the fields to `url` with the token that stands in the form at `page` (else at `url` itself)."""
    async with session.get(page or url) as answer:
        found = re.search(r'name="csrf" value="([^"]+)"', await answer.text())
    assert found, f"no form at {page or url}"
    return await post(session, url, csrf=found[1], **fields)


async def post(session: ClientSession, url: str, **fields: str | Sequence[str]) -> Answer:
    data = [
        (name, each)
        for name, value in fields.items()
        for each in ([value] if isinstance(value, str) else value)
    ]
    async with session.post(url, data=data, allow_redirects=False) as answer:
        return Answer(answer.status, answer.headers.get("Location", ""), await answer.text())


async def look(session: ClientSession, url: str, *, expect: int = 200) -> str:
    """The page."""
    async with session.get(url, allow_redirects=False) as answer:
        text = await answer.text()
        assert answer.status == expect, text
        return text


def words(page: str) -> str:
    """What a reader sees of a page's main part."""
    main = page.partition("<main")[2].partition("</main>")[0] or page
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())
