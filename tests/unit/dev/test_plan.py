"""What dev is going to run: flags over environment over file, every service's settings checked first."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate.dev.plan import Plan, make_plan
from sluicegate.errors import ConfigurationError


def plan(environ: dict[str, str] | None = None, **flags: object) -> Plan:
    return make_plan(port=0, worker=True, flags=flags, environ=environ or {})


def test_dev_offers_git_and_shell_on_local_repositories(tmp_path: Path) -> None:
    """70-17, 70-27: only dev's worker has these without being told."""
    made = plan(data_dir=tmp_path)
    assert made.redis_url is None
    assert made.environment["SLUICEGATE_WORKER_CAPABILITIES"] == "git,shell"
    assert made.environment["SLUICEGATE_ALLOW_LOCAL_REPOSITORIES"] == "1"
    assert made.environment["SLUICEGATE_WORKER_SHUTDOWN_SECONDS"] == "5.0"
    assert made.environment["SLUICEGATE_HOST"] == "127.0.0.1", "only the front may be seen from outside"
    assert made.environment["SLUICEGATE_DATA_DIR"] == str(tmp_path)


def test_what_was_chosen_stays(tmp_path: Path) -> None:
    made = plan(
        {
            "SLUICEGATE_WORKER_CAPABILITIES": "git,codex",
            "SLUICEGATE_WORKER_SHUTDOWN_SECONDS": "30",
            "SLUICEGATE_REDIS_URL": "redis://127.0.0.1:6379/0",
            "SLUICEGATE_DATA_DIR": "/elsewhere",
        },
        data_dir=tmp_path,
    )
    assert made.environment["SLUICEGATE_WORKER_CAPABILITIES"] == "git,codex"
    assert made.worker_shutdown_seconds == 30, "the default, but asked for"
    assert made.redis_url == "redis://127.0.0.1:6379/0"
    assert made.data_dir == tmp_path, "a flag wins over the environment"


def test_a_store_named_in_the_file_is_used(tmp_path: Path) -> None:
    file = tmp_path / "sluicegate.toml"
    file.write_text('redis_url = "redis://elsewhere:6379/0"\nworker_capabilities = ["git"]\n')
    made = plan({"SLUICEGATE_CONFIG": str(file)})
    assert made.redis_url == "redis://elsewhere:6379/0"
    assert made.environment["SLUICEGATE_WORKER_CAPABILITIES"] == "git"


def test_local_durability_makes_the_embedded_store_sync_always() -> None:
    assert plan().store_config == {}
    assert plan({"SLUICEGATE_DURABILITY": "local"}).store_config == {"appendfsync": "always"}


def test_extra_variables_win_and_reach_the_services() -> None:
    made = make_plan(
        port=0,
        worker=True,
        flags={},
        extra={"SLUICEGATE_RETRY_BACKOFF_BASE_SECONDS": "0.5"},
        environ={"SLUICEGATE_RETRY_BACKOFF_BASE_SECONDS": "60"},
    )
    assert made.server.retry_backoff_base_seconds == 0.5
    assert made.environment["SLUICEGATE_RETRY_BACKOFF_BASE_SECONDS"] == "0.5"


@pytest.mark.parametrize(
    "variable",
    ["SLUICEGATE_QUEUE_API_PORT", "SLUICEGATE_SWEEPER_INTERVAL_MS", "SLUICEGATE_WORKER_LEASE_SECONDS"],
)
def test_a_bad_setting_of_any_service_is_refused_before_anything_starts(variable: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{variable}='-1' is not allowed"):
        plan({variable: "-1"})


def test_its_worker_stays_at_the_store_whatever_the_cli_is_told() -> None:
    """70-43: SLUICEGATE_URL would make the worker one that goes through the API, of another deployment."""
    made = plan({"SLUICEGATE_URL": "https://queue.example.com"})
    assert made.environment["SLUICEGATE_WORKER_TRANSPORT"] == "redis"
