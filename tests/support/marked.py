"""Processes that carry a mark in their environment, wherever they have gone to."""

from __future__ import annotations

import uuid

import psutil

NAME = "TEST_MARK"


def new_mark() -> dict[str, str]:
    """One variable for the environment of what is started; descendants inherit it."""
    return {NAME: uuid.uuid4().hex}


def marked(mark: dict[str, str]) -> list[psutil.Process]:
    """Those that live: an ended process that nobody has reaped yet is none."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(NAME) == mark[NAME] and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:  # it ended meanwhile, or is none of ours
            continue
    return found
