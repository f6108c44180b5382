"""The scripts that the dashboard's pages load."""

from __future__ import annotations

from services.control.dashboard.rendering import STATIC

OF_TERMINALS = {"terminal.js", "screen.js", "player.js"}
MOST_BYTES = 60_000


def test_the_pages_scripts_are_small() -> None:
    """All together, without the terminal's; each is asked for by a page or by another script."""
    scripts = {path.name: path.read_text() for path in STATIC.glob("*.js")}
    assert sum(len(text.encode()) for name, text in scripts.items() if name not in OF_TERMINALS) < MOST_BYTES
    asking = "".join(path.read_text() for path in (STATIC.parent / "templates").rglob("*.html"))
    asking += "".join(scripts.values())
    assert [name for name in scripts if f"static('{name}')" not in asking and f"./{name}" not in asking] == []
