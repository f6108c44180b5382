"""The audit through the client, alike over both transports, and on the command line (P-3, C-7, 70-58)."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sluicegate import keys
from sluicegate.cli.main import main
from sluicegate.client import Client
from sluicegate.errors import Invalid
from sluicegate.store import cancellation, pause
from sluicegate.store.connection import Store
from tests.support import given

HEADINGS = ["TIME", "BY", "CONTROL", "ACTION", "TARGET", "REASON"]


async def test_it_is_read_and_searched(client: Client, store: Store) -> None:
    """70-57: by what is given, page by page."""
    job_id = await given.queued(store)
    await client.pause("drain", "upgrade")
    await client.cancel(job_id, "not needed")
    await client.resume()
    whole = await client.audit()
    assert [(each.control, each.action, each.mode, each.reason) for each in whole.items] == [
        ("worker_pause", "resume", None, None),
        ("job_cancel", "request", None, "not needed"),
        ("worker_pause", "pause", "drain", "upgrade"),
    ]
    assert {each.actor_user_id for each in whole.items} == {"local-operator"}
    first = await client.audit(limit=2)
    rest = await client.audit(limit=2, cursor=first.next_cursor)
    assert first.items + rest.items == whole.items and rest.next_cursor is None
    resumed, cancelled, paused = whole.items
    assert (await client.audit(target=job_id)).items == [cancelled]
    assert (await client.audit(control="worker_pause", action="pause")).items == [paused]
    assert (await client.audit(actor="local-operator", since=resumed.created_at)).items[0] == resumed
    assert (await client.audit(actor="somebody")).items == []


@pytest.mark.parametrize(
    "call",
    [{"control": "x"}, {"since": "x"}, {"target": "repository:x"}, {"cursor": "x"}, {"limit": 0}],
    ids=str,
)
async def test_a_wrong_field_is_refused_alike(client: Client, call: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        await client.audit(**call)
    assert [each["path"] for each in caught.value.extra["errors"]] == list(call)


async def on_command_line(url: str, *words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, main, ["audit", "--url", url, *words])


async def out(url: str, *words: str) -> str:
    done = await on_command_line(url, *words)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


async def test_the_command_shows_a_table_or_json(url: str, store: Store) -> None:
    """As REST has it for programs; what is looked for is gathered from as many pages as it takes."""
    job_id = await given.queued(store)
    await cancellation.cancel(store, job_id, actor="bob", reason="not needed")
    filler = ("XADD", keys.AUDIT, "*", "control", "task_run", "action", "pause", "actor", "often")
    for _ in range(5):
        await store.commands(*[filler] * 450)
    await pause.change(store, action="pause", mode="drain", reason="Upgrade", actor="ann")
    heading, *rows = (await out(url, "--actor", "bob")).splitlines()
    assert heading.split() == HEADINGS
    (row,) = rows
    assert row.split()[1:] == ["bob", "job_cancel", "request", job_id, "not", "needed"]
    assert datetime.fromisoformat(row.split()[0])
    shown = json.loads(await out(url, "--limit", "210", "--json"))
    assert len(shown["items"]) == 210
    assert shown["items"][0]["reason"] == "Upgrade" and shown["nextCursor"] == shown["items"][-1]["id"]
    more = json.loads(await out(url, "--limit", "1", "--json", "--cursor", shown["nextCursor"]))
    assert int(more["items"][0]["id"].split("-")[0]) <= int(shown["nextCursor"].split("-")[0])
    assert "drain" in (await out(url, "--since", "1h", "--control", "worker_pause"))
    nothing = await on_command_line(url, "--until", "1h")
    assert (nothing.exit_code, nothing.stdout, nothing.stderr) == (0, "", "Nothing in the audit.\n")
    wrong = await on_command_line(url, "--since", "yesterday")
    assert wrong.exit_code == 1 and wrong.stderr.startswith("Error: since: is not a time")


async def test_an_export_is_whole_or_not_there(url: str, store: Store, tmp_path: Path) -> None:
    """P-3: every entry, a JSON document a line; a file that is there already stays unless forced."""
    for n in range(3):
        await pause.change(store, action="pause", mode="drain", reason=f"Round {n}", actor="ann")
    filler = ("XADD", keys.AUDIT, "*", "control", "task_run", "action", "pause", "actor", "bob")
    await store.commands(*[filler] * 450)
    place = tmp_path / "audit.jsonl"
    await out(url, "--export", str(place))
    lines = [json.loads(line) for line in place.read_text().splitlines()]
    assert len(lines) == 453 and len({line["id"] for line in lines}) == 453
    assert lines[:200] == json.loads(await out(url, "--limit", "200", "--json"))["items"]
    before = place.read_text()
    refused = await on_command_line(url, "--actor", "ann", "--export", str(place))
    assert refused.exit_code == 2 and "is there already" in refused.stderr
    assert place.read_text() == before
    await out(url, "--actor", "ann", "--export", str(place), "--force")
    reasons = [json.loads(line)["reason"] for line in place.read_text().splitlines()]
    assert reasons == ["Round 2", "Round 1", "Round 0"]
    assert await out(url, "--actor", "ann", "--export", "-") == place.read_text()
    broken = await on_command_line(url, "--since", "yesterday", "--export", str(tmp_path / "other"))
    assert broken.exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["audit.jsonl"]
