"""What the dashboard's pages bring along."""

from __future__ import annotations

from services.control.dashboard.rendering import STATIC

OF_THE_TERMINAL = {"terminal.js", "screen.js", "player.js"}


def test_the_scripts_are_small() -> None:
    """60-4: less than 60 kB without the terminal, as they are sent."""
    sizes = {path.name: path.stat().st_size for path in STATIC.glob("*.js")}
    assert set(sizes) >= OF_THE_TERMINAL
    assert sum(size for name, size in sizes.items() if name not in OF_THE_TERMINAL) < 60_000
