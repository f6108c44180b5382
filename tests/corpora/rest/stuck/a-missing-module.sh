# a missing module
# kind: same failure
# ends: stuck_no_progress
python3 -c 'import not_there'
