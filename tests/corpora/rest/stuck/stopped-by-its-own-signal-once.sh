# stopped by its own signal, once
# kind: hang at start
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1; kill -STOP $$; fi
echo done > result
