# a deadlock between two processes, once
# kind: hang in the middle
# ends: heals
echo locking
if ! test -e $MARKS/1; then touch $MARKS/1; mkfifo a b; (read x < a; echo x > b) & read y < b; fi
echo done > result
