# a spinner in a shell before the first word, always
# kind: hang at start
# ends: stuck_no_progress
while :; do for c in '|' / - '\'; do printf '\r%s' "$c"; sleep 0.05; done; done
