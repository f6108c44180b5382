# killed for its memory twice
# kind: OOM kill
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1; kill -KILL $$
elif ! test -e $MARKS/2; then touch $MARKS/2; echo more; kill -KILL $$
fi
echo done > result
