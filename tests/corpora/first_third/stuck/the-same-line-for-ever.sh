# the same line for ever
# kind: loop
# ends: stuck_no_progress
while :; do echo 'waiting for the lock'; sleep 0.05; done
