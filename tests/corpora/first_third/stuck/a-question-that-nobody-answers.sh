# a question that nobody answers
# kind: hang at start
# ends: stuck_no_progress
read -r -p 'Overwrite all files? [y/N] ' answer
echo "$answer" > result
