"""What the four Grafana dashboards show; how a panel becomes JSON stands in dashboards.py."""

from __future__ import annotations

from typing import Final

from docs.dashboards import Board, Panel, Query


def stat(title: str, expr: str, unit: str = "short", *steps: float, says: str = "") -> Panel:
    return Panel(title=title, queries=(Query(expr),), kind="stat", unit=unit, steps=steps, says=says)


def lines(
    title: str, *queries: Query, unit: str = "short", steps: tuple[float, ...] = (), says: str = ""
) -> Panel:
    return Panel(title=title, queries=queries, unit=unit, steps=steps, says=says)


def areas(title: str, *queries: Query, unit: str = "short", says: str = "") -> Panel:
    return Panel(title=title, queries=queries, unit=unit, says=says, stacked=True)


def quantile(share: float, name: str, window: str = "15m", by: str = "") -> str:
    """The quantile of a histogram of ours, over all processes or by a label."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate(sluicegate_{name}_bucket[{window}])))"


OVERVIEW: Final = Board(
    name="overview",
    title="overview",
    rows=(
        (
            stat("Waiting", 'sluicegate:jobs:max{status="queued"}'),
            stat("Running", 'sluicegate:jobs:max{status="running"}'),
            stat(
                "Stale",
                "max(sluicegate_jobs_stale)",
                "short",
                1,
                says="Running by their record, lease expired.",
            ),
            stat("Nobody can run", "max(sluicegate_stranded_jobs)", "short", 1),
            stat("Dead letters", 'sluicegate:jobs:max{status="dead_letter"}'),
            stat("Workers", "max(sluicegate_workers)"),
            stat("Slots busy", "sluicegate:slots_busy:ratio", "percentunit", 0.8, 0.95),
            stat("Paused for", "max(sluicegate_pause_age_seconds)", "s", 1, 3600, says="0 while not paused."),
        ),
        (
            Panel(
                title="Alerts that fire",
                kind="table",
                queries=(Query('ALERTS{alertname=~"Sluicegate.+",alertstate="firing"}', quiet=True),),
                says="Each has its page in docs/runbooks.",
            ),
            lines(
                "Jobs a second",
                Query("sluicegate:jobs_enqueued:rate5m", "enqueued"),
                Query("sluicegate:jobs_finished:rate5m", "{{status}}"),
                unit="ops",
            ),
        ),
        (
            areas(
                "Jobs that have not ended",
                Query('sluicegate:jobs:max{status=~"queued|running"}', "{{status}}"),
                Query("max(sluicegate_jobs_delayed)", "delayed"),
            ),
            lines("Oldest waiting", Query("sluicegate:oldest_waiting_seconds:max", "{{band}}"), unit="s"),
            lines(
                "Jobs that begin within a minute",
                Query("sluicegate:job_wait_within_a_minute:ratio_rate1h", "share"),
                unit="percentunit",
            ),
        ),
        (
            lines(
                "Jobs that end in failure",
                Query("sluicegate:job_failure_ratio:rate1h", "share"),
                unit="percentunit",
                steps=(0.25,),
            ),
            lines("Requests a second", Query("sluicegate:http_requests:rate5m", "{{job}}"), unit="reqps"),
            lines("Requests, p99", Query("sluicegate:http_request_seconds:p99_5m", "p99"), unit="s"),
            lines(
                "Requests that fail",
                Query("sluicegate:http_error_ratio:rate5m", "5 min"),
                Query("sluicegate:http_error_ratio:rate1h", "1 h"),
                Query("sluicegate:http_error_ratio:rate6h", "6 h"),
                unit="percentunit",
                steps=(0.001,),
                says="The objective is less than 0.1 % in a month.",
            ),
        ),
    ),
)

WORKERS: Final = Board(
    name="workers",
    title="workers",
    rows=(
        (
            stat("Workers", "max(sluicegate_workers)"),
            stat("Slots free", 'sluicegate:slots:sum{state="free"}'),
            stat(
                "Quiesce waits for",
                "max(sluicegate_quiesce_pending_jobs)",
                "short",
                1,
                says="Jobs not at a checkpoint.",
            ),
            stat("Lanes nobody can take", "max(sluicegate_stranded_lanes)", "short", 1),
            stat("Nobody can run, oldest", "max(sluicegate_stranded_seconds)", "s", 60, 300),
            stat("Instances down", 'count(up{job=~"sluicegate_.+"} == 0) or vector(0)', "short", 1),
        ),
        (
            areas("Slots", Query("sluicegate:slots:sum", "{{state}}")),
            lines("Slots in use, by worker", Query('sluicegate_worker_slots{state="busy"}', "{{instance}}")),
            lines(
                "Claims a second",
                Query("sum by (result) (rate(sluicegate_claims_total[5m]))", "{{result}}"),
                unit="ops",
            ),
        ),
        (
            lines("Claim, p99", Query("sluicegate:claim_seconds:p99_5m", "p99"), unit="s"),
            lines(
                "Run time of jobs",
                Query(quantile(0.5, "job_run_seconds", by="status"), "p50 {{status}}"),
                Query(quantile(0.95, "job_run_seconds", by="status"), "p95 {{status}}"),
                unit="s",
            ),
            lines(
                "Wait for the first attempt",
                Query(quantile(0.5, "job_wait_seconds"), "p50"),
                Query(quantile(0.95, "job_wait_seconds"), "p95"),
                unit="s",
            ),
        ),
        (
            lines(
                "Heartbeats too late, p99",
                Query("sluicegate:heartbeat_lateness_seconds:p99_5m", "{{instance}}"),
                unit="s",
                steps=(5.0,),
            ),
            lines(
                "From a cancel to the first signal, p99",
                Query("sluicegate:cancel_latency_seconds:p99_15m", "p99"),
                unit="s",
                steps=(1.0,),
            ),
            lines(
                "On the way to a checkpoint, longest",
                Query("max by (reason) (sluicegate_checkpoint_pending_seconds)", "{{reason}}"),
                unit="s",
                steps=(60.0,),
            ),
        ),
        (
            lines(
                "Attempts that led to another, an hour",
                Query("max by (reason) (increase(sluicegate_retries_total[1h]))", "{{reason}}"),
                Query("max(increase(sluicegate_lease_expired_total[1h]))", "leases expired"),
            ),
            lines(
                "Processor time",
                Query('rate(process_cpu_seconds_total{job=~"sluicegate_.+"}[5m])', "{{job}} {{instance}}"),
                unit="percentunit",
            ),
            lines(
                "Memory",
                Query('process_resident_memory_bytes{job=~"sluicegate_.+"}', "{{job}} {{instance}}"),
                unit="bytes",
            ),
            Panel(
                title="Versions that run",
                kind="table",
                queries=(Query("count by (job, version) (sluicegate_build_info)"),),
                says="Two at a time only during a rollout.",
            ),
        ),
    ),
)

SELF_HEAL: Final = Board(
    name="self-heal",
    title="self-heal",
    rows=(
        (
            stat("Recovered, a day", "sum(increase(sluicegate_self_heal_recovered_total[1d])) or vector(0)"),
            stat("Given up, a day", "sum(increase(sluicegate_self_heal_exhausted_total[1d])) or vector(0)"),
            stat(
                "Recovered of those that failed",
                "sluicegate:self_heal_recovery:ratio_rate6h",
                "percentunit",
                says="Steps that finished after a failure, of those that were healed or given up, in 6 h.",
            ),
            stat("Steps ended for their time, a day", "sum(increase(sluicegate_step_timeouts_total[1d]))"),
        ),
        (
            lines(
                "Attempts to heal, an hour, by outcome",
                Query("sum by (outcome) (increase(sluicegate_self_heal_attempts_total[1h]))", "{{outcome}}"),
            ),
            lines(
                "Attempts to heal, an hour, by class",
                Query("sum by (class) (increase(sluicegate_self_heal_attempts_total[1h]))", "{{class}}"),
            ),
            lines(
                "What healed, an hour",
                Query(
                    "sum by (strategy) (increase(sluicegate_self_heal_recovered_total[1h]))", "{{strategy}}"
                ),
            ),
        ),
        (
            lines(
                "Given up, an hour",
                Query(
                    "sum by (class, strategy) (increase(sluicegate_self_heal_exhausted_total[1h]))",
                    "{{class}} after {{strategy}}",
                    quiet=True,
                ),
            ),
            lines(
                "Steps ended for their time, an hour",
                Query("sum by (kind) (increase(sluicegate_step_timeouts_total[1h]))", "{{kind}}"),
            ),
            lines(
                "Duration of steps",
                Query(quantile(0.5, "step_duration_seconds"), "p50"),
                Query(quantile(0.95, "step_duration_seconds"), "p95"),
                unit="s",
            ),
        ),
        (
            lines(
                "Live sessions, an hour",
                Query("max by (status) (increase(sluicegate_live_sessions_total[1h]))", "{{status}}"),
            ),
            lines("People who watch a terminal", Query("sum(sluicegate_terminal_viewers)", "viewers")),
            lines(
                "Cancels, an hour",
                Query("max(increase(sluicegate_cancel_requests_total[1h]))", "requests"),
            ),
        ),
    ),
)

STORE: Final = Board(
    name="store",
    title="store and sweeper",
    rows=(
        (
            stat("Usable", "min(sluicegate_store_up)", says="1 when every instance can use it."),
            stat("Memory used", "max(sluicegate_store_memory_bytes)", "bytes"),
            stat("Connections", "max(sluicegate_store_connections)"),
            stat("Unsafe settings", "sum(max by (check) (sluicegate_store_unsafe))", "short", 1),
            stat("Lanes", "max(sluicegate_lanes)"),
        ),
        (
            Panel(
                title="Room that is used",
                kind="bargauge",
                unit="percentunit",
                steps=(0.7, 0.85),
                queries=(
                    Query("sluicegate:queue_room_used:ratio", "jobs that wait"),
                    Query("sluicegate:lanes_room_used:ratio", "lanes"),
                    Query("sluicegate:dead_letters_room_used:ratio", "dead letters"),
                    Query("sluicegate:store_memory_room_used:ratio", "memory", quiet=True),
                    Query("sluicegate:store_connections_room_used:ratio", "connections"),
                ),
                says="Of what the settings allow. Memory only where the server has a maxmemory.",
            ),
            lines(
                "Memory",
                Query("max(sluicegate_store_memory_bytes)", "used"),
                Query(
                    "max(sluicegate_store_memory_limit_bytes) > 0", "enqueue is refused from here", quiet=True
                ),
                unit="bytes",
            ),
            Panel(
                title="What may be lost",
                kind="table",
                steps=(1.0,),
                queries=(Query("max by (check) (sluicegate_store_unsafe)"),),
                says="1: the store may lose what it acknowledged.",
            ),
        ),
        (
            lines(
                "Lag of the sweeper",
                Query("min by (loop) (sluicegate_sweeper_lag_seconds)", "{{loop}}"),
                unit="s",
                steps=(60.0,),
            ),
            lines(
                "What the sweeper is for",
                Query("max(sluicegate_jobs_due)", "due, not promoted"),
                Query("max(sluicegate_jobs_stale)", "stale"),
            ),
            lines(
                "Ended jobs that are kept",
                Query('sluicegate:jobs:max{status=~"succeeded|failed|cancelled|dead_letter"}', "{{status}}"),
            ),
            lines(
                "New dead letters, an hour",
                Query("max by (reason) (increase(sluicegate_dead_letters_total[1h]))", "{{reason}}"),
            ),
        ),
        (
            lines(
                "Pauses and resumes, an hour",
                Query(
                    "max by (action, mode) (increase(sluicegate_pause_transitions_total[1h]))",
                    "{{action}} {{mode}}",
                ),
            ),
            lines("Parts that are paused", Query("max by (scope) (sluicegate_narrow_pauses)", "{{scope}}")),
            lines(
                "Requests refused for who made them, a second",
                Query("sum by (kind) (rate(sluicegate_auth_failures_total[5m]))", "{{kind}}", quiet=True),
                unit="reqps",
            ),
        ),
    ),
)

BOARDS: Final = (OVERVIEW, WORKERS, SELF_HEAL, STORE)
