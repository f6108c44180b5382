"""One frozen struct per service: each setting with its bounds, its default and what it is for.

Seconds accept decimals.
"""

from __future__ import annotations

import os
import shlex
import socket
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from sluicegate.errors import ConfigurationError
from sluicegate.failure_rules import FailureRules
from sluicegate.model import MAX_GRANT_MINUTES, PRINTABLE_PATTERN, LiveProvider
from sluicegate.runtimes import RuntimeName
from sluicegate.sealing import SealingKeys
from sluicegate.settings.secret_files import read_secret

PREFIX: Final = "SLUICEGATE_"
DEFAULT_URL: Final = "http://127.0.0.1:8080"

Seconds = Annotated[float, Meta(gt=0)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Fingerprint = Annotated[str, Meta(pattern=r"^(SHA256:|MD5:)[A-Za-z0-9+/=:]{1,128}$(?!\n)")]
NotNegative = Annotated[int, Meta(ge=0)]
AttemptsInARow = Annotated[int, Meta(ge=2)]
PublicKeyAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]


def says(text: str) -> Meta:
    """What a setting is for: shown in `.env.example`, in the reference and by `sluicegate config`."""
    return Meta(description=text)


class Settings(Struct, frozen=True, kw_only=True):
    """What every service shares: the store, the rules of the queue, identity, files, logs."""

    redis_url: Annotated[str, says("the store; redis://, rediss:// or unix://")] = "redis://127.0.0.1:6379/0"
    redis_timeout_ms: Annotated[Count, says("a call to the store that takes longer is given up (503)")] = 5000
    redis_max_connections: Annotated[
        Annotated[int, Meta(ge=4)], says("connections of one process to the store")
    ] = 64
    redis_password_file: Annotated[
        Path | None, says("file with the password of the user that the store's address names")
    ] = None
    redis_ca_file: Annotated[
        Path | None, says("certificates that the store's is signed by (`rediss://`); default: the system's")
    ] = None
    redis_cert_file: Annotated[
        Path | None, says("certificate that this process shows the store, with `redis_key_file`")
    ] = None
    redis_key_file: Annotated[Path | None, says("the key of that certificate")] = None
    redis_check_hostname: Annotated[
        bool, says("the store's certificate has to be for the host in its address")
    ] = True
    durability: Annotated[
        Literal["relaxed", "local"],
        says("`relaxed`: any store; `local`: the store must run with `appendfsync always`"),
    ] = "relaxed"
    data_dir: Annotated[Path, says("artifacts, exported audit, the embedded store's files")] = Path(
        ".sluicegate"
    )
    artifacts_url: Annotated[str | None, says("where artifacts go; default `file:<data_dir>/artifacts`")] = (
        None
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], says("lowest level that is logged")
    ] = "info"
    tracing: Annotated[
        bool,
        says(
            "record spans and send them by OTLP over HTTP; needs the extra `sluicegate[tracing]`. Where to, "
            "and which, OpenTelemetry's own variables say (`OTEL_*`)"
        ),
    ] = False

    auth: Annotated[
        Literal["disabled", "required"],
        says("`disabled`: open, for local use, on loopback only; `required`: tokens and JWTs only"),
    ] = "disabled"
    default_user_id: Annotated[
        Annotated[str, Meta(pattern=PRINTABLE_PATTERN)], says("who acts while auth is disabled")
    ] = "local-operator"
    allow_insecure: Annotated[bool, says("let disabled auth bind beyond loopback")] = False
    allow_tokenless: Annotated[
        bool, says("admit older workers that send no leaseToken, while they claimed a job only once")
    ] = False

    token_rotation_grace_seconds: Annotated[
        Annotated[float, Meta(ge=0)], says("how long a rotated token's old secret still works")
    ] = 3600.0

    retry_backoff_base_seconds: Annotated[
        Annotated[float, Meta(ge=0)], says("wait before the second attempt")
    ] = 15.0
    retry_backoff_factor: Annotated[
        Annotated[float, Meta(ge=1)], says("growth of the wait with each attempt")
    ] = 2.0
    retry_backoff_cap_seconds: Annotated[Annotated[float, Meta(ge=0)], says("longest wait")] = 600.0
    retry_backoff_jitter: Annotated[
        Annotated[float, Meta(ge=0, le=1)], says("each wait varies by this share, up or down")
    ] = 0.2
    max_releases: Annotated[
        Annotated[int, Meta(ge=0)], says("releases past this count as failed attempts")
    ] = 20
    max_queued: Annotated[Count, says("waiting and delayed jobs; past it enqueue answers 429")] = 1_000_000
    max_lanes: Annotated[Count, says("lanes with entries; past it enqueue answers 429")] = 20_000
    max_memory_share: Annotated[
        Annotated[float, Meta(gt=0, le=1)],
        says("share of the store's `maxmemory`; past it enqueue answers 429. Without `maxmemory` no limit"),
    ] = 0.8
    concurrency_limits: Annotated[
        tuple[str, ...] | None,
        says(
            "jobs that may run at a time: `type=<type>:<n>`, `repo=<owner/name>:<n>`, `repo=*:<n>` for each; "
            "the same for queue_api, control and sweeper. The store keeps them; `none` lifts them"
        ),
    ] = None
    max_payload_bytes: Annotated[Count, says("largest payload of a job, as JSON")] = 256 * 1024
    max_message_bytes: Annotated[
        Annotated[int, Meta(ge=1, le=64 * 1024)], says("largest message of an operator to an agent, in UTF-8")
    ] = 8 * 1024
    max_event_bytes: Annotated[Count, says("largest event, as JSON")] = 32 * 1024
    max_body_bytes: Annotated[Count, says("largest JSON body of a request")] = 16 * 1024 * 1024
    max_artifact_bytes: Annotated[Count, says("largest artifact")] = 10 * 1024 * 1024
    max_patch_bytes: Annotated[Count, says("largest patch of a step")] = 64 * 1024 * 1024
    max_job_artifacts: Annotated[Count, says("artifacts of one job, in number")] = 1_000
    max_control_events: Annotated[
        Count, says("control events of one job, in number; past it only a resume or a revoke is accepted")
    ] = 1_000
    live_session_enabled: Annotated[bool, says("let people watch running tasks, and take them over")] = True
    live_session_provider: Annotated[
        LiveProvider,
        says(
            "how: `browser`, the dashboard's terminal, opened with each task; `tmate` and `tmux` only when "
            "somebody asks for one"
        ),
    ] = "browser"
    live_session_ttl_minutes: Annotated[
        Annotated[float, Meta(gt=0, le=7 * 1440)], says("longest life of a live session")
    ] = 60.0
    live_session_rw_grant_ttl_minutes: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_GRANT_MINUTES)],
        says("how long a person may type for whom nobody says how long"),
    ] = 15
    live_session_allow_web: Annotated[bool, says("show web addresses that a tmate relay gives out")] = False
    live_keys: Annotated[
        SealingKeys,
        says(
            "seal the ways to write: `<id>:<32 bytes as base64>`, the first one for new ones; the same for "
            "queue_api, control and workers on the store"
        ),
    ] = SealingKeys()
    job_log_max_bytes: Annotated[
        Count, says("log events of one job; what is beyond is only in the artifact")
    ] = 4_194_304
    job_log_max_entries: Annotated[Count, says("log events of one job, in number")] = 20_000
    terminal_scrollback_bytes: Annotated[
        Annotated[int, Meta(ge=1024, le=16 * 1024 * 1024)],
        says("of a run's terminal: so much is kept in the store for who comes to watch"),
    ] = 256 * 1024
    retention_max_dead_letters: Annotated[
        Count,
        says("dead letters kept, in number; the same for sweeper, which removes, and control, which warns"),
    ] = 100_000
    idempotency_seconds: Annotated[Seconds, says("how long an idempotency key is remembered")] = 86_400.0
    default_repository_host: Annotated[str, says("the host that `owner/name` means")] = "github.com"
    allow_local_repositories: Annotated[bool, says("accept paths and file: URLs as repositories")] = False
    max_step_attempts: Annotated[Count, says("most attempts that a task may give its steps")] = 10
    max_step_wall_seconds: Annotated[Seconds, says("most that a task may set as its steps' wall clock")] = (
        86_400.0
    )
    max_step_idle_seconds: Annotated[Seconds, says("longest silence that a task may allow its steps")] = (
        86_400.0
    )
    max_no_progress_limit: Annotated[
        AttemptsInARow, says("most attempts without progress that a task may allow its steps")
    ] = 10
    max_hard_resets: Annotated[NotNegative, says("most hard resets that a task may allow itself")] = 5

    @property
    def artifacts_dir(self) -> Path:
        """The folder behind `artifacts_url`."""
        if self.artifacts_url is None:
            return self.data_dir / "artifacts"
        if not self.artifacts_url.startswith("file:"):
            raise ConfigurationError(
                f"SLUICEGATE_ARTIFACTS_URL={self.artifacts_url!r} is not allowed: only file:<folder>"
            )
        return Path(self.artifacts_url.removeprefix("file:").removeprefix("//"))


class ServerSettings(Settings, frozen=True, kw_only=True):
    """What the two HTTP services share."""

    host: Annotated[str, says("address that the HTTP services listen on")] = "127.0.0.1"
    require_worker_token: Annotated[bool, says("workers need a token though auth is disabled")] = False
    bootstrap_admin_token: Annotated[
        Annotated[str, Meta(min_length=32, pattern=r"^[!-~]+$")] | None,
        says("a secret that is an admin's credential, to create the first tokens with; then unset it"),
    ] = None
    rate_limit: Annotated[
        Annotated[float, Meta(ge=0)], says("requests per second of one caller and process; 0 is no limit")
    ] = 0.0
    rate_limit_burst: Annotated[Count, says("requests that a caller may make at once")] = 50
    session_key: Annotated[
        Annotated[str, Meta(min_length=32)] | None,
        says("signs the dashboard's sessions; without it they end when control restarts"),
    ] = None
    oidc_jwks_url: Annotated[str | None, says("keys of the identity provider whose JWTs are accepted")] = None
    oidc_issuer: Annotated[str | None, says("`iss` that a JWT must have")] = None
    oidc_audience: Annotated[str | None, says("`aud` that a JWT must have")] = None
    oidc_algorithms: Annotated[tuple[PublicKeyAlgorithm, ...], says("signatures that are accepted")] = (
        "RS256",
        "ES256",
        "EdDSA",
    )
    oidc_leeway_seconds: Annotated[
        Annotated[float, Meta(ge=0, le=300)], says("how far the provider's clock may be off")
    ] = 30.0
    oidc_user_claim: Annotated[str, says("claim that says who acts")] = "sub"
    oidc_role_claim: Annotated[str, says("claim with the role, or a list of them")] = "sluicegate_role"
    oidc_worker_claim: Annotated[str, says("claim that names a worker")] = "sluicegate_worker"
    oidc_policy_prefix: Annotated[
        str, says("prefix of a worker's claims `repositories`, `types` and `capabilities`")
    ] = "sluicegate_"
    sse_keepalive_seconds: Annotated[Seconds, says("a comment on idle event streams, this often")] = 15.0


class QueueApiSettings(ServerSettings, frozen=True, kw_only=True):
    queue_api_port: Annotated[Port, says("port of queue_api")] = 8080


class ControlSettings(ServerSettings, frozen=True, kw_only=True):
    control_port: Annotated[Port, says("port of control")] = 8081
    page_refresh_seconds: Annotated[
        Annotated[float, Meta(ge=0)],
        says("pages that nobody types into are loaded anew this often where JavaScript is off; 0: never"),
    ] = 5.0
    warn_stale_seconds: Annotated[
        Seconds,
        says("the overview calls it wrong: a lease that has run out, a due job not moved, for so long"),
    ] = 5.0
    warn_unclaimable_seconds: Annotated[
        Seconds, says("the same: a job that no live worker can run has waited for so long")
    ] = 60.0
    warn_waiting_seconds: Annotated[
        Seconds, says("the same: a job that a worker could run has waited for so long")
    ] = 3600.0
    warn_person_seconds: Annotated[
        Seconds, says("the same: a run waits for the person who paused it or took it over, for so long")
    ] = 60.0
    warn_pause_seconds: Annotated[Seconds, says("the same: a pause lasts for so long")] = 3600.0
    warn_quiesce_seconds: Annotated[
        Seconds, says("the same: a job has not come to a checkpoint, so long after a quiesce")
    ] = 60.0
    warn_dead_letters_per_hour: Annotated[
        Count, says("the same: so many dead letters came in the last hour")
    ] = 1
    warn_near_share: Annotated[
        Annotated[float, Meta(gt=0, le=1)],
        says("the same: so much of a limit is used: of a step's time, of dead letters, waiting jobs, memory"),
    ] = 0.8
    terminal_max_viewers: Annotated[Count, says("people who watch terminals through one control process")] = (
        200
    )
    terminal_max_viewers_per_run: Annotated[Count, says("those of them who watch one run")] = 20


class WorkerSettings(Settings, frozen=True, kw_only=True):
    worker_transport: Annotated[
        Literal["redis", "http"] | None,
        says("how the worker reaches the queue; default: `http` when a URL is given, else `redis`"),
    ] = None
    url: Annotated[str | None, says("address of the deployment, for a worker that reaches only its API")] = (
        None
    )
    token: Annotated[str | None, says("that worker's token")] = None
    token_file: Annotated[Path | None, says("file with that token, instead")] = None
    worker_id: Annotated[
        Annotated[str, Meta(pattern=PRINTABLE_PATTERN)] | None, says("default: host name and process id")
    ] = None
    worker_lease_seconds: Annotated[Annotated[float, Meta(ge=1, le=3600)], says("length of a lease")] = 30.0
    worker_heartbeat_seconds: Annotated[
        Seconds | None, says("default and longest: the smaller of a third of the lease and 10 s")
    ] = None
    worker_concurrency: Annotated[Annotated[int, Meta(ge=1, le=10_000)], says("jobs at the same time")] = 4
    worker_capabilities: Annotated[tuple[str, ...], says("what this worker can do, like `git,shell`")] = ()
    worker_types: Annotated[
        tuple[str, ...] | None, says("types it takes; default: those it has handlers for")
    ] = None
    worker_repositories: Annotated[tuple[str, ...] | None, says("repositories it takes; default: any")] = None
    worker_dir: Annotated[Path | None, says("workspaces; default `<data_dir>/workspaces`")] = None
    worker_shutdown_seconds: Annotated[
        Annotated[float, Meta(ge=0)],
        says("on SIGTERM, how long running jobs may go on before they are released"),
    ] = 30.0
    metrics_host: Annotated[
        str, says("address of /metrics; whoever reaches it reads the figures, and nothing else")
    ] = "127.0.0.1"
    metrics_port: Annotated[Port, says("port of /metrics; 0 takes a free one")] = 9464
    stop_sigint_grace_seconds: Annotated[Annotated[float, Meta(ge=0)], says("from SIGINT to SIGTERM")] = 5.0
    stop_sigterm_grace_seconds: Annotated[Annotated[float, Meta(ge=0)], says("from SIGTERM to SIGKILL")] = 5.0
    live_session_max_per_worker: Annotated[
        Count, says("live sessions of one worker at a time; the task of one that is too many goes on without")
    ] = 100
    live_session_ready_timeout_seconds: Annotated[
        Seconds, says("how long a live session may take to open; then the task goes on without")
    ] = 30.0
    tmate_server_host: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,253}$(?!\n)")] | None,
        says("the relay of live sessions by tmate, like `relay.example.com`; without one there are none"),
    ] = None
    tmate_server_port: Annotated[Annotated[int, Meta(ge=1, le=65535)], says("its port for SSH")] = 22
    tmate_server_rsa_fingerprint: Annotated[
        Fingerprint | None,
        says("of its RSA key, `SHA256:...`, as the relay tells it; tmate knows those of its makers' relay"),
    ] = None
    tmate_server_ed25519_fingerprint: Annotated[Fingerprint | None, says("the same of its Ed25519 key")] = (
        None
    )
    step_max_attempts: Annotated[
        Count,
        says("attempts of a step, those after a hard reset included; then its job fails, to be retried"),
    ] = 3
    terminal_recording_max_bytes: Annotated[
        NotNegative, says("largest recording of an attempt's terminal; 0: none is made")
    ] = 8 * 1024 * 1024
    step_timeout_seconds: Annotated[Seconds, says("wall clock of one attempt of a step")] = 900.0
    step_idle_timeout_seconds: Annotated[
        Seconds,
        says("longest silence: no output with anything new in it, and no process that begins or ends"),
    ] = 300.0
    step_idle_cpu_percent: Annotated[
        Annotated[float, Meta(ge=0)],
        says("a silent step that uses so much of one core is not idle; 0: computing is no sign of life"),
    ] = 0.0
    step_no_progress_limit: Annotated[
        AttemptsInARow, says("attempts in a row with the same failure and the same changes, then it is stuck")
    ] = 2
    job_max_hard_resets: Annotated[
        NotNegative, says("rebuilt workspaces for stuck steps, in a job's life")
    ] = 1
    skills_dir: Annotated[Path | None, says("skills, each `<id>/SKILL.md`; none by default")] = None
    runtime_args_codex: Annotated[
        str,
        says("options of `codex exec` in every step: what it may do without asking; quoted as in a shell"),
    ] = "--sandbox workspace-write"
    runtime_args_gemini: Annotated[str, says("the same for `gemini`")] = "--approval-mode yolo"
    runtime_args_claude: Annotated[str, says("the same for `claude`")] = "--permission-mode bypassPermissions"
    runtimes_signed_in: Annotated[
        tuple[RuntimeName, ...],
        says("runtimes whose credentials are where this worker cannot look, like a keychain: not looked for"),
    ] = ()
    pause_poll_interval_ms: Annotated[Count, says("how often a paused worker looks, beside the push")] = 5000
    git_author_name: Annotated[str, says("identity of published commits")] = "Sluicegate"
    git_author_email: Annotated[str, says("identity of published commits")] = "sluicegate@localhost"
    secret_env: Annotated[
        tuple[str, ...], says("variables whose values are replaced in everything stored")
    ] = ()
    allow_tokens_in_changes: Annotated[
        bool,
        says(
            "accept strings with the shape of a token in what steps change; known values are refused anyhow"
        ),
    ] = False
    failure_rules: Annotated[
        FailureRules,
        says(
            "what failures of steps mean here, before the rules that are built in: tables "
            "`[[failure_rules]]` in the file, or their list as JSON"
        ),
    ] = FailureRules()

    @property
    def transport(self) -> Literal["redis", "http"]:
        return self.worker_transport or ("http" if self.url else "redis")

    @property
    def address(self) -> str:
        return self.url or DEFAULT_URL

    def credential(self) -> str | None:
        """The worker's token, if it has one. Raises ConfigurationError when its file cannot be read."""
        if self.token is not None or self.token_file is None:
            return self.token
        return read_secret("SLUICEGATE_TOKEN_FILE", self.token_file)

    def runtime_arguments(self, runtime: str) -> list[str]:
        """The words of `runtime_args_<runtime>`. Raises ConfigurationError when its quotes do not close."""
        text: str = getattr(self, f"runtime_args_{runtime}", "")
        try:
            return shlex.split(text)
        except ValueError as error:
            name = f"{PREFIX}RUNTIME_ARGS_{runtime.upper()}"
            raise ConfigurationError(
                f"{name}={text!r} is not allowed: words as in a shell, {error}"
            ) from error

    @property
    def identity(self) -> str:
        return self.worker_id or f"{socket.gethostname()}-{os.getpid()}"

    @property
    def heartbeat_seconds(self) -> float:
        longest = min(self.worker_lease_seconds / 3, 10.0)
        return min(self.worker_heartbeat_seconds or longest, longest)

    @property
    def workspaces(self) -> Path:
        return (self.worker_dir or self.data_dir / "workspaces").absolute()


class SweeperSettings(Settings, frozen=True, kw_only=True):
    sweeper_interval_ms: Annotated[Count, says("time between two passes of a loop")] = 500
    retention_interval_seconds: Annotated[Seconds, says("time between two passes of retention")] = 60.0
    retention_succeeded_seconds: Annotated[Seconds, says("how long succeeded jobs are kept")] = 7 * 86_400.0
    retention_failed_seconds: Annotated[Seconds, says("how long failed jobs are kept")] = 30 * 86_400.0
    retention_cancelled_seconds: Annotated[Seconds, says("how long cancelled jobs are kept")] = 30 * 86_400.0
    retention_max_jobs: Annotated[Count, says("terminal jobs kept of each status, in number")] = 1_000_000
    retention_audit_seconds: Annotated[
        Seconds, says("how long audit entries are kept in the store; they are exported first")
    ] = 365 * 86_400.0
    retention_max_audit: Annotated[
        Count, says("audit entries kept in the store; older ones are exported first")
    ] = 100_000
    metrics_host: Annotated[
        str, says("address of /metrics; whoever reaches it reads the figures, and nothing else")
    ] = "127.0.0.1"
    metrics_port: Annotated[Port, says("port of /metrics; 0 takes a free one")] = 9464


class ClientSettings(Struct, frozen=True, kw_only=True):
    """What the CLI needs to talk to a deployment."""

    url: Annotated[str, says("address of the deployment")] = DEFAULT_URL
    token: Annotated[str | None, says("operator token")] = None


STRUCTS: Final[tuple[type[Struct], ...]] = (
    Settings, ServerSettings, QueueApiSettings, ControlSettings, WorkerSettings, SweeperSettings,
    ClientSettings,
)  # fmt: skip
SECRET_FIELDS: Final = frozenset({"token", "bootstrap_admin_token", "session_key", "live_keys"})


def known_fields() -> dict[str, msgspec.structs.FieldInfo]:
    """Every setting by its name in the file; one that several structs share is there once."""
    return {field.name: field for kind in STRUCTS for field in msgspec.structs.fields(kind)}
