"""`sluicegate doctor`: what the store says against itself, and its repair. It opens the store itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sluicegate.cli import output
from sluicegate.cli.connection import confirm, yes_option
from sluicegate.cli.terminal_text import plain

if TYPE_CHECKING:
    from sluicegate.operations.doctor import Checkup
    from sluicegate.settings import Settings
    from sluicegate.store import Store
    from sluicegate.store.findings import Finding

SHOWN: Final = 20
"""Of one kind; --json tells all."""
LARGE: Final = 2000
"""Jobs from which on a person wants to see that it goes on."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print an object with every finding.")
@click.option("--apply", is_flag=True, help="Repair what can be, after showing it; then check again.")
@yes_option
@click.option("--redis-url", metavar="URL", help="The store: redis://, rediss:// or unix://.")
@click.option("--data-dir", metavar="DIR", help="Where the files of artifacts are.")
@click.option(
    "--config",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file with settings; else SLUICEGATE_CONFIG, else ./sluicegate.toml if it is there.",
)
def doctor(as_json: bool, apply: bool, yes: bool, file: Path | None, **flags: str | None) -> None:
    """Check that the store nowhere contradicts itself, and repair it where it does.

    Each job in exactly one place, every index, count and order in agreement, every file listed. Everything
    may be at work meanwhile. Exit status: 0 when nothing differs, 1 when anything does (with --apply: when
    anything still does).

    \b
    Examples:
      sluicegate doctor
      sluicegate doctor --apply
    """
    from sluicegate.settings import Settings, load

    settings = load(Settings, config=file, flags=flags)
    status = asyncio.run(_run(settings, apply=apply, as_json=as_json, yes=yes))
    click.get_current_context().exit(status)


async def _run(settings: Settings, *, apply: bool, as_json: bool, yes: bool) -> int:
    """The exit status."""
    from sluicegate.operations import doctor
    from sluicegate.store import Store

    store = Store.unchecked(settings)
    try:
        found = await _checkup(store)
        repaired: list[Finding] = []
        if not as_json:
            _show(found)
        if apply and found.plan:
            number = len(found.plan)
            confirm(f"Repair {'this' if number == 1 else f'these {number}'}?", yes)
            repaired, found = await doctor.cure(store, found)
            if not as_json:
                click.echo(f"\nRepaired {_faults(len(repaired))}, and checked again:\n")
                _show(found)
        if as_json:
            output.document(_document(found, repaired))
        return 1 if found.faults or not found.whole else 0
    finally:
        await store.close()


async def _checkup(store: Store) -> Checkup:
    from sluicegate.operations import doctor

    total = await doctor.size(store)
    with output.progress("Checking jobs", total, shown=total > LARGE) as advance:
        return await doctor.check(store, advance)


def _show(found: Checkup) -> None:
    """The findings by kind, each with what repairs it, and the verdict."""
    by_kind: dict[str, list[Finding]] = {}
    for finding in found.findings:
        by_kind.setdefault(finding.code, []).append(finding)
    for code, findings in by_kind.items():
        _show_kind(code, findings)
    for sentence in found.unseen:
        click.echo(f"{sentence}\n")
    looked_at = f"{found.jobs:,} jobs and {found.lanes:,} lanes checked in {found.seconds:.1f} s"
    if found.faults:
        left = len([finding for finding in found.faults if not finding.kind.by])
        by_hand = f", {left} for a person to look at" if left else ""
        click.echo(f"{click.style(_faults(len(found.faults)), fg='red')}{by_hand}: {looked_at}")
    elif found.whole:
        click.echo(f"{click.style('Nothing differs', fg='green')}: {looked_at}")


def _show_kind(code: str, findings: Sequence[Finding]) -> None:
    kind = findings[0].kind
    click.echo(f"{click.style(code, bold=True)}  {len(findings)}")
    for finding in findings[:SHOWN]:
        click.echo(f"  {plain(finding.sentence)}")
    if len(findings) > SHOWN:
        click.echo(f"  and {len(findings) - SHOWN:,} more: --json tells all")
    label = "Repair" if kind.by else "Note" if kind.note else "By hand"
    click.echo(click.style(f"  {label}: {kind.repair}\n", dim=True))


def _faults(number: int) -> str:
    return "1 fault" if number == 1 else f"{number:,} faults"


def _document(found: Checkup, repaired: Sequence[Finding]) -> dict[str, Any]:
    return {
        "healthy": not found.faults and found.whole,
        "jobs": found.jobs,
        "lanes": found.lanes,
        "seconds": round(found.seconds, 3),
        "findings": [_finding(finding) for finding in found.findings],
        "repaired": [_finding(finding) for finding in repaired],
        "unseen": found.unseen,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    kind = finding.kind
    return {
        "code": finding.code,
        "subject": finding.it,
        "message": finding.sentence,
        "remedy": kind.repair,
        "repairable": bool(kind.by),
        "note": kind.note,
    }
