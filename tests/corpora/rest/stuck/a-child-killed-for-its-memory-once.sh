# a child killed for its memory, once
# kind: OOM kill
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1; bash -c 'kill -KILL $$' || exit 137; fi
echo done > result
