"""docs/reference/api.md lists the routes that the services have, all of them and no other."""

from __future__ import annotations

import re
from pathlib import Path

from services.control.routes import ROUTES as CONTROL
from services.queue_api.routes import ROUTES as QUEUE_API

PAGE = Path(__file__).parents[2] / "docs/reference/api.md"


def test_every_route_is_on_the_page_and_no_other() -> None:
    served = {
        f"{each.method} {each.path}" for each in (*QUEUE_API, *CONTROL) if each.path.startswith("/api/")
    }
    listed = set(re.findall(r"^\| `((?:GET|POST|PUT|DELETE) /api/[^`]+)`", PAGE.read_text(), re.MULTILINE))
    assert listed == served
