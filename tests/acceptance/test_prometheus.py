"""A real Prometheus watches a live deployment: every dashboard, record and alert finds what it asks for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.dashboard_panels import BOARDS
from sluicegate.client import Client
from sluicegate.model import NewJob
from sluicegate.store import Store
from tests.support import prometheus as servers
from tests.support.metric_names import LABELS
from tests.support.origin import Origin
from tests.support.programs import Programs, programs
from tests.support.prometheus import Prometheus, Sample
from tests.support.tasks import payload
from tests.support.wait import until

FAILS_ONCE = "if [ -e {flag} ]; then echo done > result.txt; else touch {flag}; echo broken; exit 75; fi"
OF_PROMETHEUS = {"__name__", "alertname", "alertstate", "instance", "job", "le", "severity", "what"}
SAID_SECONDS = 120.0
WORKER = {
    "ALLOW_LOCAL_REPOSITORIES": "1", "WORKER_CAPABILITIES": "git,shell", "WORKER_LEASE_SECONDS": "6",
}  # fmt: skip


@pytest.fixture
def started(store_url: str, tmp_path: Path) -> Iterator[Programs]:
    with programs(store_url, tmp_path) as running:
        yield running


async def live(started: Programs) -> tuple[dict[str, str], str]:
    """Every service: where each shows its metrics, by the names of scrape jobs, and where the API is."""
    _, api = await started.service("queue_api", ALLOW_LOCAL_REPOSITORIES="1")
    _, control = await started.service("control")
    found = {"queue_api": api.removeprefix("http://"), "control": control.removeprefix("http://")}
    for name, settings in (("sweeper", {}), ("worker", WORKER)):
        line = await started.start(f"services.{name}", **settings).said("metrics.listening")
        found[name] = f"{line['host']}:{line['port']}"
    return {f"sluicegate_{name}": address for name, address in found.items()}, api


async def some_of_everything(client: Client, origin: Origin, folder: Path) -> list[str]:
    """Jobs that succeed at once, a task that heals, one that is cancelled while it runs; their ids."""
    plain = [(await client.enqueue(NewJob(type="noop"))).id for _ in range(5)]
    script = FAILS_ONCE.format(flag=folder / "flag")
    healed = await client.enqueue(NewJob(type="task", payload=payload(origin, script)))
    begun = folder / "begun"
    hangs = await client.enqueue(NewJob(type="task", payload=payload(origin, f"touch {begun}; sleep 600")))
    await until(begun.exists, "the task runs", SAID_SECONDS, pause=0.1)
    await client.cancel(hangs.id, reason="seen enough")
    return [*plain, healed.id, hangs.id]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.needs("prometheus")
@pytest.mark.needs("git")
async def test_every_query_has_an_answer(started: Programs, store: Store, tmp_path: Path) -> None:
    """60-5, H-12, P-11, Q-15: asked of what really runs, with jobs that succeed, heal and are cancelled."""
    addresses, api = await live(started)
    with servers.prometheus(tmp_path, addresses) as server:
        await until(
            lambda: set(server.targets().values()) == {"up"}, "all is scraped", SAID_SECONDS, pause=0.2
        )
        async with Client.from_url(api, None) as client:
            origin = Origin(tmp_path / "git")
            ids = await some_of_everything(client, origin, tmp_path)
            for job_id in ids:
                await client.wait(job_id, SAID_SECONDS)
        asked = {query.expr: query for board in BOARDS for query in board.queries}
        for query in asked.values():
            if not query.quiet:
                await is_answered(server, api, query.expr)
        for expr in asked:
            server.ask(expr)
        for rule in server.rules():
            assert (rule["health"], rule.get("lastError")) == ("ok", None), rule
            server.ask(rule["query"])
        assert {rule["name"] for rule in server.rules() if rule.get("state") == "firing"} == set()
        labels_are_bounded(server, ids)
        logs = "".join(program.text for program in started.started)
        assert not [job_id for job_id in ids if job_id in logs], "log level info has no line for a job"
        print_table(server)


async def is_answered(server: Prometheus, api: str, expr: str) -> None:
    """Waits for it. Jobs go on meanwhile: a rate wants something to happen between two scrapes."""
    async with Client.from_url(api, None) as client:

        async def answer() -> list[Sample]:
            found = server.ask(expr)
            if not found:
                await client.enqueue(NewJob(type="noop"))
            return found

        await until(answer, f"an answer to {expr}", SAID_SECONDS, pause=0.5)


def labels_are_bounded(server: Prometheus, job_ids: list[str]) -> None:
    """60-5: none holds what there is no end of, whatever was done."""
    names = server.label_names()
    assert names <= LABELS | OF_PROMETHEUS
    for name in names & LABELS:
        values = server.labels(name)
        assert len(values) <= 60, (name, values)
        assert not values & set(job_ids), name


def print_table(server: Prometheus) -> None:
    """What the panels would show, with `pytest -s`."""
    for board in BOARDS:
        print(f"\n{board.title}")
        for row in board.rows:
            for panel in row:
                for query in panel.queries:
                    found = server.ask(query.expr)
                    shown = "; ".join(sample.text for sample in found[:4]) or "(nothing yet)"
                    more = f" (+{len(found) - 4})" if len(found) > 4 else ""
                    print(f"  {panel.title[:38]:<38}  {query.expr[:78]:<78}  {shown[:110]}{more}")
