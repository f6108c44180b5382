"""Every error that Sluicegate raises on purpose, with the stable code that goes over the wire.

    SluicegateError
    ├── RequestError         the caller's request cannot be served as it is
    │   ├── BadRequest               400  body is not JSON; malformed pause call
    │   ├── Unauthenticated          401
    │   ├── Forbidden                403
    │   ├── NotFound                 404
    │   ├── Conflict                 409  the state, the owner or the lease is another
    │   │   └── LeaseLost            409  lease_lost: the attempt is no longer the caller's
    │   ├── TooLarge                 413
    │   ├── Invalid                  422  names each wrong field
    │   ├── RangeNotSatisfiable      416  the part that was asked for is behind the end
    │   └── Busy                     429  queue_full, rate_limited
    ├── StoreError           the store cannot answer
    │   ├── StoreUnavailable         503  not reachable; nothing is known to have been written
    │   │   ├── StorageFull          507  no room for an artifact; nothing of it was kept
    │   │   └── ServerUnreachable    ---  a client found no server at the address: nothing was sent
    │   ├── StoreUninitialised       503  no meta or pause record: never taken for an empty queue
    │   ├── StoreVersionMismatch     503  written by a version that this one cannot work with
    │   ├── OutcomeUnknown           503  sent, no answer: repeat with the same id or key
    │   └── StoreFault               500  a script raised, or the store refused a call: a defect
    └── ConfigurationError   a setting is wrong, or the store's own configuration is unsafe

`code` and `status` are those of the wire contract (RFC 9457 problem documents, `problem()`).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, ClassVar


class SluicegateError(Exception):
    """Base of all. `detail` is for people, `code` for programs; neither ever holds a secret."""

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str, *, code: str | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.extra = extra

    def problem(self) -> dict[str, Any]:
        """The RFC 9457 document: type, title, status, detail, code, and what else the error carries."""
        return {
            "type": f"https://sluicegate.dev/problems/{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.extra,
        }


class RequestError(SluicegateError):
    """The request cannot be served as it is; repeating it unchanged will not help."""

    status = 400
    default_code = "bad_request"


class BadRequest(RequestError):
    @classmethod
    def field(cls, path: str, message: str) -> BadRequest:
        """For the calls whose wrong fields are 400 (70-3); elsewhere they are Invalid."""
        return cls(f"{path} {message}", errors=[{"path": path, "message": message}])


class Unauthenticated(RequestError):
    status = 401
    default_code = "operator_auth_failed"


class Forbidden(RequestError):
    status = 403
    default_code = "operator_not_authorized"


class NotFound(RequestError):
    status = 404
    default_code = "not_found"


class MethodNotAllowed(RequestError):
    status = 405
    default_code = "method_not_allowed"


class Conflict(RequestError):
    status = 409
    default_code = "job_state_conflict"


class LeaseLost(Conflict):
    """Someone else holds the job, or its attempt has ended otherwise: stop, and write nothing more."""

    default_code = "lease_lost"


class TooLarge(RequestError):
    status = 413
    default_code = "payload_too_large"


class UnsupportedMediaType(RequestError):
    status = 415
    default_code = "unsupported_media_type"


class RangeNotSatisfiable(RequestError):
    status = 416
    default_code = "range_not_satisfiable"


class Invalid(RequestError):
    """Fields are wrong. `errors` is a list of {path, message}, one for each wrong field."""

    status = 422
    default_code = "validation_failed"

    @classmethod
    def field(cls, path: str, message: str, *, code: str | None = None) -> Invalid:
        return cls(f"{path}: {message}", code=code, errors=[{"path": path, "message": message}])


class Busy(RequestError):
    """Try again later: the HTTP reply carries Retry-After."""

    status = 429
    default_code = "queue_full"


class StoreError(SluicegateError):
    status = 503
    default_code = "store_unavailable"


class StoreUnavailable(StoreError):
    pass


class StorageFull(StoreUnavailable):
    """Like a store that is away, it may pass: whoever can wait sends the artifact again."""

    status = 507
    default_code = "storage_full"


class ServerUnreachable(StoreUnavailable):
    """Raised by clients only, and never on the wire: who catches StoreUnavailable catches it too."""

    default_code = "server_unreachable"


class StoreUninitialised(StoreError):
    default_code = "store_uninitialised"


class StoreVersionMismatch(StoreError):
    default_code = "store_version"


class OutcomeUnknown(StoreError):
    default_code = "outcome_unknown"


class StoreFault(StoreError):
    """A call that should have worked did not: a defect, in a script or in what is stored."""

    status = 500
    default_code = "internal_error"


class ConfigurationError(SluicegateError):
    default_code = "configuration_error"


BY_STATUS: dict[int, type[SluicegateError]] = {
    error.status: error
    for error in (
        BadRequest, Unauthenticated, Forbidden, NotFound, MethodNotAllowed, Conflict, TooLarge,
        UnsupportedMediaType, Invalid, Busy, StoreUnavailable,
    )
}  # fmt: skip
BY_CODE: dict[str, type[SluicegateError]] = {
    error.default_code: error
    for error in (
        LeaseLost,
        StoreUnavailable,
        StorageFull,
        StoreUninitialised,
        StoreVersionMismatch,
        OutcomeUnknown,
    )
}


def from_problem(problem: dict[str, Any]) -> SluicegateError:
    """The error that a problem document stands for: what an HTTP client raises."""
    known = {"type", "title", "status", "detail", "code"}
    code = str(problem.get("code", "internal_error"))
    error = BY_CODE.get(code) or BY_STATUS.get(int(problem.get("status", 500)), SluicegateError)
    extra = {key: value for key, value in problem.items() if key not in known}
    return error(str(problem.get("detail", code)), code=code, **extra)
