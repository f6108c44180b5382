# killed for its memory, once
# kind: OOM kill
# ends: heals
echo allocating
test -e $MARKS/1 || { touch $MARKS/1; kill -KILL $$; }
echo done > result
