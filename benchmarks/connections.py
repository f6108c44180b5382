"""How many connections a service keeps to the store, by the store's own list of its clients."""

from __future__ import annotations

import psutil

from benchmarks.subject import Measure, Unmeasured
from benchmarks.wire import Wire


def measure(of: str, most: int | None = None) -> Measure:
    return Measure(name=f"{of}, connections to the store", unit="", target=most)


def counted(wire: Wire, *, reading: int | None = None) -> int:
    """Those of other processes than this one. reading: how many of them are to be blocked in a stream.

    Raises Unmeasured when they are more or fewer.
    """
    own = _own_ports(wire.port)
    listed = wire.call("CLIENT", "LIST").decode().splitlines()
    clients = [dict(word.split("=", 1) for word in line.split()) for line in listed]
    others = [each for each in clients if int(each["addr"].rpartition(":")[2]) not in own]
    readers = sum(each["cmd"] == "xread" for each in others)
    if reading is not None and readers != reading:
        raise Unmeasured(f"{readers} connections read streams, not {reading}")
    return len(others)


def open_to(port: int) -> int:
    """How many connections of this process lead there."""
    return len(_own_ports(port))


def _own_ports(to: int) -> set[int]:
    """The near ends of this process's connections to a port of this machine."""
    found = psutil.Process().net_connections()
    return {each.laddr.port for each in found if each.raddr and each.raddr.port == to}
