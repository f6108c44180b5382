"""The description of both services: valid, whole, nothing in it that is not there (60-1)."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from services.control.routes import ROUTES as CONTROL
from services.queue_api.routes import ROUTES as QUEUE_API
from sluicegate import errors
from sluicegate.http import Endpoint, description, openapi, problems
from sluicegate.http.service import HEALTH

ROOT = Path(__file__).parents[3]
SHARED = (*HEALTH, *description.ENDPOINTS)
SERVICES = {"queue_api": (*QUEUE_API, *SHARED), "control": (*CONTROL, *SHARED)}
DOCUMENTS = {name: openapi.document(table) for name, table in SERVICES.items()}
MERGED = openapi.merged(list(DOCUMENTS.values()))
ALL = {f"{each.method} {each.path}": each for table in SERVICES.values() for each in table if each.documented}

CODES_OF_THE_CONTRACT = {
    400: "bad_request",
    401: "worker_auth_failed operator_auth_failed",
    403: "worker_not_authorized job_not_authorized operator_not_authorized csrf_failed",
    404: "job_not_found artifact_not_found worker_token_not_found live_session_not_found tool_not_found",
    409: "job_state_conflict job_ownership_mismatch lease_lost not_drained version_conflict pause_unchanged "
    "live_session_state_conflict idempotency_conflict",
    413: "payload_too_large artifact_too_large",
    422: "validation_failed invalid_tool_arguments",
    429: "rate_limited queue_full",
    503: "store_unavailable store_uninitialised store_version outcome_unknown",
}
ERRORS = {"errors", *(name for name, each in vars(errors).items() if isinstance(each, type))}
NEVER_SENT = {"configuration_error", "server_unreachable", "crash_loop"}


def described(endpoint: Endpoint) -> dict[str, Any]:
    found: dict[str, Any] = MERGED["paths"][openapi.path_of(endpoint)][endpoint.method.lower()]
    return found


@pytest.mark.parametrize(
    "document",
    [*(pytest.param(each, id=name, marks=pytest.mark.slow) for name, each in DOCUMENTS.items()), MERGED],
    ids=lambda _: "merged",
)
def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    """60-1."""
    assert document["openapi"].startswith("3.1")
    validate(document)


@pytest.mark.parametrize("name", SERVICES)
def test_every_endpoint_is_in_it_and_nothing_else(name: str) -> None:
    """60-1: of the API; pages for people are none of it."""
    written = {
        f"{method.upper()} {path}" for path, methods in DOCUMENTS[name]["paths"].items() for method in methods
    }
    served = {f"{each.method} {openapi.path_of(each)}" for each in SERVICES[name] if each.documented}
    assert written == served
    assert {path for path in (each.path for each in SERVICES[name]) if path.startswith(("/api", "/mcp"))} == {
        each.path for each in SERVICES[name] if each.documented and each.path.startswith(("/api", "/mcp"))
    }


def test_each_operation_has_a_name_of_its_own_and_a_known_tag() -> None:
    ids = [each["operationId"] for methods in MERGED["paths"].values() for each in methods.values()]
    assert len(ids) == len(set(ids))
    assert {each.tag for each in ALL.values()} <= set(openapi.TAGS)
    assert [name for name, each in ALL.items() if not each.summary] == []


@pytest.mark.parametrize("name", [name for name, each in ALL.items() if each.body])
def test_the_example_of_a_body_is_one(name: str) -> None:
    """60-1: the struct that validates takes it."""
    example = described(ALL[name])["requestBody"]["content"]["application/json"]["example"]
    kind: Any = ALL[name].body
    msgspec.convert(example, kind)


@pytest.mark.parametrize("name", ALL)
def test_each_example_fits_its_schema(name: str) -> None:
    """60-1: of each reply and of each error."""
    for status, reply in described(ALL[name])["responses"].items():
        for content in reply.get("content", {}).values():
            shown = [content["example"]] if "example" in content else []
            shown += [each["value"] for each in content.get("examples", {}).values()]
            validator = OAS31Validator({**content["schema"], "components": MERGED["components"]})
            for each in shown:
                assert list(validator.iter_errors(each)) == [], (status, each)


def test_every_code_of_the_contract_is_known_with_its_status() -> None:
    """00-5."""
    for status, codes in CODES_OF_THE_CONTRACT.items():
        assert {code: problems.CODES[code].status for code in codes.split()} == dict.fromkeys(
            codes.split(), status
        )


def raised() -> set[str]:
    """The codes that source files give to errors, and those that error classes have by themselves."""
    found = set()
    for path in [*(ROOT / "shared").rglob("*.py"), *(ROOT / "services").rglob("*.py")]:
        text = path.read_text()
        found |= set(re.findall(r'default_code(?:: ClassVar\[str\])? = "([a-z_]+)"', text))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[0] in ERRORS:
                named = [each.value for each in node.keywords if each.arg == "code"]
                found |= {str(each.value) for each in named if isinstance(each, ast.Constant)}
    return found - NEVER_SENT


def test_every_code_that_is_raised_is_known_and_documented() -> None:
    """00-5."""
    found = raised()
    assert found - set(problems.CODES) == set()
    documented = {code for each in ALL.values() for code in problems.codes(each)}
    assert found - documented - {"method_not_allowed"} == set()


def test_descriptions_that_contradict_each_other_are_not_merged() -> None:
    other = msgspec.json.decode(msgspec.json.encode(DOCUMENTS["control"]))
    other["components"]["schemas"]["Problem"]["description"] = "another"
    with pytest.raises(ValueError, match="component Problem"):
        openapi.merged([DOCUMENTS["queue_api"], other])


def test_a_parameter_that_may_be_left_out_is_not_null() -> None:
    parameters = described(ALL["GET /api/queue/jobs"])["parameters"]
    status = next(each for each in parameters if each["name"] == "status")
    assert status["in"] == "query"
    assert not status["required"]
    assert None not in status["schema"]["enum"]
