"""The command line that ties a process to this one: see `tether.py`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_TETHER: Final = str(Path(__file__).with_name("tether.py"))


def tethered(command: Sequence[str], *, end_with: signal.Signals = signal.SIGKILL) -> list[str]:
    """`command`, to be started by this process from a thread that stays, sent `end_with` when it ends."""
    return [sys.executable, "-I", "-S", _TETHER, str(int(end_with)), str(os.getpid()), *command]
