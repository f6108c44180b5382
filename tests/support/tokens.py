"""Tokens for tests, made as an administrator makes them."""

from __future__ import annotations

from typing import Any

from sluicegate.operations import credentials
from sluicegate.operations.credentials import (
    IssuedOperatorToken,
    IssuedWorkerToken,
    OperatorTokenCall,
    WorkerTokenCall,
)
from sluicegate.store.connection import Store

BOOTSTRAP = "sgop-bootstrap-" + "x" * 40


async def worker_token(store: Store, worker_id: str = "worker-1", **allowed: Any) -> IssuedWorkerToken:
    call = WorkerTokenCall(worker_id=worker_id, **allowed)
    return await credentials.create_worker_token(store, call, actor="ann")


async def operator_token(store: Store, role: Any, user_id: str | None = None) -> IssuedOperatorToken:
    call = OperatorTokenCall(user_id=user_id or f"the-{role}", role=role)
    return await credentials.create_operator_token(store, call, actor="ann")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
