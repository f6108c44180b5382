"""Write what the proxy says of both services itself into the folder given.

`openapi.json`; `docs.html`, with its headers as nginx takes them in `docs.conf`.

    python deploy/proxy/description.py /usr/share/sluicegate
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from services.control.routes import ROUTES as CONTROL
from services.queue_api.routes import ROUTES as QUEUE_API
from sluicegate.http import docs_page, openapi
from sluicegate.http.description import ENDPOINTS
from sluicegate.http.service import HEALTH


def main(folder: Path) -> None:
    described = [openapi.document((*routes, *HEALTH, *ENDPOINTS)) for routes in (QUEUE_API, CONTROL)]
    document = openapi.merged(described)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "openapi.json").write_bytes(msgspec.json.encode(document))
    (folder / "docs.html").write_text(docs_page.render(document))
    headers = [f"add_header {name} {quoted(text)};\n" for name, text in docs_page.headers().items()]
    (folder / "docs.conf").write_text("".join(headers))


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


if __name__ == "__main__":
    main(Path(sys.argv[1]))
