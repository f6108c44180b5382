"""The program in the agent pane: shows what the run's terminal shows, and hands on what is typed there.

It runs by itself, on the standard library, and ends with the worker that it is linked to.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import tty


def main() -> None:
    link = socket.socket(socket.AF_UNIX)
    link.connect(sys.argv[1])
    tty.setraw(0)
    resized, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.signal(signal.SIGWINCH, lambda _number, _frame: None)
    signal.set_wakeup_fd(wakeup)
    tell_size(link)
    while True:
        ready = select.select([0, link.fileno(), resized], [], [])[0]
        if resized in ready:
            os.read(resized, 4096)
            tell_size(link)
        if link.fileno() in ready:
            shown = link.recv(65536)
            if not shown:
                return
            while shown:
                shown = shown[os.write(1, shown) :]
        if 0 in ready:
            typed = os.read(0, 4096)
            if not typed:
                return
            link.sendall(b"typed %s\n" % typed.hex().encode())


def tell_size(link: socket.socket) -> None:
    columns, rows = os.get_terminal_size(0)
    link.sendall(b"size %dx%d\n" % (columns, rows))


if __name__ == "__main__":
    try:
        main()
    except ConnectionError:
        sys.exit("the worker has gone")
