# a process that starts itself for ever
# kind: loop
# ends: stuck_no_progress
again() { sleep 0.1; again; }
again
