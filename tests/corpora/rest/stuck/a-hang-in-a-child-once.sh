# a hang in a child, once
# kind: hang at start
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1; bash -c 'sleep 600'; fi
echo done > result
