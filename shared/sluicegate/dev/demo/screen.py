"""What the demo shows: colours, a spinner and highlighted code on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text


class Screen:
    """Everything is printed as it happens; `facts` are what was checked, for the table at the end."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._facts: list[tuple[str, str]] = []

    def chapter(self, text: str) -> None:
        self._console.print()
        self._console.print(Text(text, style="bold"))

    def line(self, who: str, text: str, style: str = "") -> None:
        """who: the task that it is about."""
        self._console.print(Text.assemble((f"  {who:<9}", "cyan"), (text, style)))

    def output(self, who: str, text: str) -> None:
        """What a task wrote."""
        for each in text.splitlines():
            self.line(who, f"| {each}", style="dim")

    def fact(self, what: str, proof: str) -> None:
        """Something that happened, and how that was checked."""
        self._facts.append((what, proof))
        self._console.print(Text.assemble(("  ok       ", "bold green"), what, (f"  ({proof})", "dim")))

    def diff(self, text: str) -> None:
        if self._console.is_terminal:
            self._console.print(Syntax(text, "diff", background_color="default"))
        else:
            self._console.print(Text(text))

    def commands(self, lines: Sequence[tuple[str, str]]) -> None:
        """Each with what it is for."""
        self._console.print()
        width = max(len(command) for command, _ in lines)
        for command, meaning in lines:
            self._console.print(Text.assemble((f"  {command:<{width}}  ", "bold"), meaning))

    def summary(self, seconds: float) -> None:
        self.chapter(f"All of it happened, in {seconds:.0f} s:")
        for what, _ in self._facts:
            self._console.print(Text.assemble(("  + ", "green"), what))

    def failure(self, what: str, log_tail: str) -> None:
        self._console.print()
        self._console.print(Text.assemble(("The demo failed: ", "bold red"), what))
        if log_tail:
            self._console.print(Text("The services' log ends with:", style="bold"))
            self._console.print(Text(log_tail))

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """A spinner under the lines while something takes its time; nothing where there is no terminal."""
        with self._console.status(Text(text)):
            yield
