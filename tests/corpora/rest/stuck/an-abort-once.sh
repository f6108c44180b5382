# an abort, once
# kind: crash
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1; kill -ABRT $$; fi
echo done > result
