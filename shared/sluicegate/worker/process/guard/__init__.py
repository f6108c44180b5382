"""Holds one command for a worker: a signal reaches its whole tree, and no tree outlives the worker.

A program of its own, `program.main`, run as `python -I -S` with four arguments: CONTROL, `subreaper` or
`group`, `pty` or `pipes`, CGROUPS. It imports nothing of Sluicegate and as little else as it can, since every
command waits for it to start. CONTROL is the number of an inherited socket; CGROUPS a folder in which cgroups
can be made, or `-`. What it gets as stdin, stdout and stderr become the command's.

Two processes, so that `kill -9` of either leaves no orphan. The *holder* starts the command; the *stand-by*
is the holder's parent and kills what it inherits when the holder dies. Both are child subreapers: a daemon
whose parents have ended becomes their child, never init's, so "no child left" is exactly "the tree is empty".
Where there are no subreapers (macOS), mode `group` has a holder only. It watches the command's process group,
its descendants and every group it once saw among them: a daemon that detached unseen escapes it.

The worker first sends `<argc> <bytes>` and a body of that length: cwd, argv and environment, joined by NUL.
Then one line each:
    stop <seconds> <seconds>   SIGINT now, SIGTERM and SIGKILL after these graces; a second one is ignored
    pause | resume             SIGSTOP, SIGCONT to the whole tree
    end of file                SIGKILL until nothing is left: the worker has died, or wants no grace
It hears, one line each, times in ms since the epoch:
    started <pid> <holder> <cgroup|->   or failed <chdir|exec|fork> <errno>
    process <pid> <parent> <whole|cut> <command line in hex>   of the tree, after a stop, before its signals
    signalled <name> <processes> <ms>
    exited <code|-> <signal|-> the command itself, as it happens
    empty <ms>                 or survivors <ms> <pid>...: the last word, but then the guard goes on trying

When the command ends by itself, what it left behind gets 0.2 s to end (a `tee` behind a shell still has
output to write), then SIGTERM, a second later SIGKILL.
"""
