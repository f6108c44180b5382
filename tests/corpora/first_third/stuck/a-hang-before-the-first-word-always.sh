# a hang before the first word, always
# kind: hang at start
# ends: stuck_no_progress
sleep 600
