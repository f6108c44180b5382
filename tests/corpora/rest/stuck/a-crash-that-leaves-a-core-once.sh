# a crash that leaves a core, once
# kind: crash
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1; echo core > core; kill -SEGV $$; fi
echo done > result
rm -f core
