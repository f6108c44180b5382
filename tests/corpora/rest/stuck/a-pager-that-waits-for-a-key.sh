# a pager that waits for a key
# kind: hang at start
# ends: stuck_no_progress
seq 5 > text
read -r -n 1 -p '(END)' key
echo "$key" > result
