"""The rights of the store's users follow from the code: what a service can reach, no more (60-6)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.redis.reachable import Name, reached
from deploy.redis.users import SERVICES, acl_file, rights
from sluicegate import keys
from sluicegate.store import scripts

pytestmark = pytest.mark.xdist_group("store users")  # the code is read once
FILE = Path(__file__).parents[2] / "deploy/redis/users.acl"


def test_the_file_is_current() -> None:
    assert FILE.read_text() == acl_file(), "deploy/redis/users.acl is stale: run `make generated`"


def test_reachable_is_what_is_called() -> None:
    worker, sweeper = reached("services.worker.__main__"), reached("services.sweeper.__main__")
    claim, expire = (
        Name("sluicegate.store.claims", "claim"),
        Name("sluicegate.store.sweeping", "expire_leases"),
    )
    opened = Name("sluicegate.store.claims", "open_attempts")
    assert opened in worker and expire not in worker
    assert expire in sweeper and opened not in sweeper and claim not in sweeper


@pytest.mark.parametrize("service", SERVICES)
def test_nobody_may_administer_the_server_or_leave_the_prefix(service: str) -> None:
    granted = rights(service)
    assert not {re.split(r"\|", each)[0] for each in granted.commands} & {
        "acl", "debug", "flushall", "flushdb", "keys", "monitor", "publish", "replicaof", "script",
        "shutdown",
    }  # fmt: skip
    assert {each for each in granted.commands if each.startswith("config")} <= {"config|get"}
    assert all(each.startswith(keys.Q) for each in granted.reads | granted.writes)


def test_every_call_of_every_script_is_seen() -> None:
    """What the extraction of commands goes by: each call names its command, and the commands are known."""
    everything = rights("operator").commands | rights("queue_api").commands | rights("sweeper").commands
    everything |= rights("worker").commands
    for name in scripts.names():
        text = scripts.script(name).plain_text
        calls = re.findall(r"redis\.p?call\((.)(\w*)", text)
        assert {quote for quote, _ in calls} == {"'"}
        named = {each.partition("|")[0] for each in everything}
        assert {command.lower() for _, command in calls} <= named, name
