"""Writes the files that are made from the code, so that nothing is written down twice: `make generated`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from prometheus_client import CollectorRegistry

from deploy.redis.users import acl_file
from docs import event_kinds, scripts_page
from docs.dashboard_panels import BOARDS
from sluicegate import keys, metrics, queue_metrics, settings
from sluicegate.cli.main import main
from sluicegate.operations.tool_schema import input_schema
from sluicegate.operations.tools import TOOLS, Tool
from tests.corpora import outcomes

ROOT = Path(__file__).parent.parent


def pages() -> dict[str, str]:
    """Each generated file, by its path from the root, with the text that it must have."""
    return {
        ".env.example": settings.env_example(),
        "docs/reference/settings.md": settings_page(),
        "docs/reference/keys.md": keys_page(),
        "docs/reference/events.md": event_kinds.page(),
        "docs/reference/scripts.md": scripts_page.page(),
        "docs/reference/metrics.md": metrics_page(),
        "docs/reference/cli.md": cli_page(),
        "docs/reference/mcp.md": mcp_page(),
        "docs/reference/healing-runs.md": outcomes.page(),
        **{f"deploy/grafana/dashboards/{board.name}.json": board.text() for board in BOARDS},
    }


def settings_page() -> str:
    """A table of settings for each struct, in the order of `settings/structs.py`."""
    lines = [
        "# Settings",
        "",
        "Each setting is an environment variable; without `SLUICEGATE_` and in lower case it is a key of",
        "`sluicegate.toml` (`SLUICEGATE_CONFIG` names another file). Command-line flags win over the",
        "environment, the environment over the file. Seconds accept decimals, lists are separated by commas,",
        "switches are `1` or `0`. A bad value ends the process with a message that names it.",
        "",
        "These secrets may also be in a file, so that they stand in no environment; the variable that names",
        f"the file ends with `_FILE`: {', '.join(_file_variables())}.",
        "",
        "This page is written by `make generated`.",
    ]
    for kind in settings.STRUCTS:
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        own = [fields[name] for name in kind.__annotations__ if name in fields]
        if not own:
            continue
        lines += ["", f"## {kind.__name__}", ""]
        if kind.__doc__ and not kind.__doc__.startswith(f"{kind.__name__}("):
            lines += [kind.__doc__.strip().splitlines()[0], ""]
        lines += ["| variable | default | what it is for |", "| --- | --- | --- |"]
        for field in own:
            text = settings.as_text(field.default)
            default = f"`{text}`" if text else ""
            words = settings.description(field).replace("|", "\\|")
            lines.append(f"| `{settings.PREFIX}{field.name.upper()}` | {default} | {words} |")
    return "\n".join(lines) + "\n"


def _file_variables() -> list[str]:
    return [f"`{settings.PREFIX}{name.upper()}_FILE`" for name in sorted(settings.FROM_FILES)]


def keys_page() -> str:
    """A table of every key in the store, from the catalogue."""
    lines = [
        "# Keys in the store",
        "",
        f"`Q:` stands for `{keys.Q}`: every key of a partition carries the same hash tag, so that one script",
        "may touch them all. Keys that expire by themselves are marked; of the others, those of a job go",
        "with the job, and the rest are bounded by settings.",
        "",
        "This page is written by `make generated`.",
        "",
        "| key | expires | what it is |",
        "| --- | --- | --- |",
    ]
    for name, words in keys.CATALOGUE.items():
        expires = "yes" if name in keys.EXPIRING else ""
        lines.append(f"| `Q:{name}` | {expires} | {words.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """A table of metrics for each kind of process, from the objects that serve them."""
    lines = [
        "# Metrics",
        "",
        "Every process serves `/metrics` in the Prometheus text format: the HTTP services on their own port,",
        "worker and sweeper on `SLUICEGATE_METRICS_HOST` and `SLUICEGATE_METRICS_PORT`. Figures of the whole",
        "queue come from the store, are at most 5 s old, and are the same on every replica: take their",
        "maximum, not their sum. No label ever holds a job id, a repository or a worker's name. What to do",
        "with them: [Watch a deployment with Prometheus and Grafana](../how-to/monitor.md).",
        "On Linux every process shows its memory, processor time and open files too, as `process_...`.",
        "",
        "This page is written by `make generated`.",
    ]
    for title, collectors in metric_collectors():
        rows = sorted(row for each in collectors for row in metric_rows(each))
        lines += [
            "",
            f"## {title}",
            "",
            "| metric | type | labels | meaning |",
            "| --- | --- | --- | --- |",
            *rows,
        ]
    return "\n".join(lines) + "\n"


def metric_collectors() -> list[tuple[str, list[Any]]]:
    """Who serves what: a heading, and the metrics under it."""
    metrics.WorkerMetrics(worker := CollectorRegistry())
    metrics.SweeperMetrics(sweeper := CollectorRegistry())
    metrics.TerminalMetrics(control := CollectorRegistry())
    metrics.JobMetrics(attempts := CollectorRegistry())
    metrics.describe_process(process := CollectorRegistry())
    http = metrics.ServerMetrics(of_store=False).registry
    claims, every = _names(attempts), _names(process)
    return [
        ("The whole queue, at queue_api and control", [queue_metrics.StoreFigures()]),
        ("HTTP services", [each for each in _collectors(http) if _name(each) not in claims | every]),
        ("Control", _collectors(control)),
        ("Workers, and queue_api for workers over HTTP", _collectors(attempts)),
        ("Workers", [each for each in _collectors(worker) if _name(each) not in claims]),
        ("Sweeper", _collectors(sweeper)),
        ("Every process", _collectors(process)),
    ]


def metric_rows(collector: Any) -> list[str]:
    """One row for each metric of a collector, with its name as Prometheus sees it."""
    rows = []
    for family in collector.collect():
        if family.name.startswith("process_"):
            continue  # differs from system to system
        labels = getattr(family, "_labelnames", ()) or getattr(collector, "_labelnames", ())
        name = family.name + ("_total" if family.type == "counter" else "")
        named = ", ".join(f"`{label}`" for label in labels)
        rows.append(f"| `{name}` | {family.type} | {named} | {family.documentation} |")
    return rows


def cli_page() -> str:
    """Every command's own help, in the order in which `sluicegate --help` lists them."""
    lines = [
        "# Command line",
        "",
        "Exit status: 0, 1 (it failed), 2 (used wrongly). Results go to stdout, everything else to stderr.",
        "",
        "This page is written by `make generated`.",
    ]
    for context in _contexts(
        click.Context(main, info_name="sluicegate", terminal_width=100, **main.context_settings)
    ):
        text = context.command.get_help(context).rstrip()
        lines += ["", f"## {context.command_path}", "", "```text", text, "```"]
    return "\n".join(lines) + "\n"


def mcp_page() -> str:
    """Each tool with its arguments, from the catalogue."""
    lines = [
        "# Tools for agents (MCP)",
        "",
        "`GET /mcp/tools` lists them, `POST /mcp/tools/call` with `{tool, arguments}` calls one and returns",
        "`{result}`; [`sluicegate mcp`](../how-to/mcp.md) gives them to any MCP client. A result is the JSON",
        "of the REST call that the tool stands for, an error the same problem. Wrong arguments are 422",
        "`invalid_tool_arguments`, which names each; an unknown tool is 404 `tool_not_found`.",
        "",
        "This page is written by `make generated`.",
    ]
    for tool in TOOLS:
        schema = input_schema(tool)
        lines += ["", f"## {tool.name}", "", tool.description, "", f"As `{tool.rest}`. {_callers(tool)}", ""]
        rows = [_argument(name, each, schema) for name, each in schema["properties"].items()]
        lines += (
            ["| argument | type | what it is |", "| --- | --- | --- |", *rows] if rows else ["No arguments."]
        )
    return "\n".join(lines) + "\n"


def _callers(tool: Tool) -> str:
    if tool.may == "worker":
        return "For workers."
    also = "".join(f", or {'a producer' if role == 'producer' else 'a worker'}" for role in tool.also)
    return f"Needs the role {tool.may}{also}."


def _argument(name: str, field: dict[str, Any], schema: dict[str, Any]) -> str:
    needed = " (required)" if name in schema.get("required", ()) else ""
    kind = ", ".join(f"`{each}`" for each in field["enum"]) if "enum" in field else field["type"]
    default = f" [{field['default']}]" if field.get("default") not in (None, {}) else ""
    return f"| `{name}`{needed} | {kind} | {field['description']}{default} |"


def _contexts(context: click.Context) -> Iterator[click.Context]:
    """A context for the command and for each command below it."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            if command := context.command.get_command(context, name):
                inner = click.Context(command, context, name, **command.context_settings)
                yield from _contexts(inner)


def _collectors(registry: CollectorRegistry) -> list[Any]:
    return list(registry._collector_to_names)


def _name(collector: Any) -> str | None:
    return getattr(collector, "_name", None)


def _names(registry: CollectorRegistry) -> set[str | None]:
    return {_name(each) for each in _collectors(registry)}


if __name__ == "__main__":
    for name, text in {**pages(), "deploy/redis/users.acl": acl_file()}.items():
        (ROOT / name).write_text(text)
