"""Every page of the dashboard: where it is, and a browser that has logged in to see it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from playwright.async_api import Browser, BrowserContext, Page

from services.control.app import build
from sluicegate.http import serving
from sluicegate.settings import ControlSettings, Settings
from sluicegate.store.connection import Store
from tests.support.scene import Scene
from tests.support.tokens import operator_token


def pages(scene: Scene) -> dict[str, str]:
    """Name -> address. What a form's answer shows is reached from these."""
    task = f"/jobs/{scene.task}"
    return {
        "overview": "/",
        "jobs": "/jobs",
        "jobs-none": "/jobs?type=nothing",
        "jobs-wrong": "/jobs?createdAfter=yesterday",
        "new-task": "/jobs/new",
        "new-job": "/jobs/new?kind=other",
        "dead-letters": "/dead-letters",
        "workers": "/workers",
        "pauses": "/pauses",
        "audit": "/audit",
        "tokens": "/tokens",
        "task": task,
        "task-searched": f"{task}?show=logs&q=script",
        "diff": f"{task}/artifacts/{scene.files['patch']}",
        "file": f"{task}/artifacts/{scene.files['md']}",
        "stale": f"/jobs/{scene.stuck}",
        "waiting": f"/jobs/{scene.waiting}",
        "failed": f"/jobs/{scene.failed}",
        "dead": f"/jobs/{scene.dead[0]}",
        "cancel": f"{task}/actions/cancel",
        "step": f"{task}/actions/resume_from_step?stepId=test",
        "message": f"{task}/actions/message",
        "nothing": "/nothing",
        "login": "/login",
    }


@asynccontextmanager
async def site(settings: Settings, store: Store) -> AsyncIterator[str]:
    """A dashboard that asks who is there, as a deployment has it."""
    fields = {**msgspec.structs.asdict(settings), "auth": "required", "session_key": "k" * 40}
    control = ControlSettings(**fields)
    async with serving(build(control, store), "127.0.0.1", 0) as (host, port):
        yield f"http://{host}:{port}"


async def logged_in(browser: Browser, url: str, store: Store, **options: object) -> BrowserContext:
    """A window of an administrator."""
    context = await browser.new_context(**options)  # type: ignore[arg-type]
    page = await context.new_page()
    await page.goto(f"{url}/login")
    await page.get_by_label("Operator token").fill((await operator_token(store, "admin", "root")).token)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url(f"{url}/")
    await page.close()
    return context


async def preview(page: Page, url: str, kind: str) -> None:
    """Where the boxes of a list, or the buttons of a cause, lead to."""
    if kind == "many":
        await page.goto(f"{url}/jobs?status=queued")
        await page.get_by_label("all on this page").check()
        await page.get_by_role("button", name="Cancel…").click()
    else:
        await page.goto(f"{url}/dead-letters")
        await page.get_by_role("button", name="Redrive one first…").first.click()
    await page.locator(".will").wait_for()
