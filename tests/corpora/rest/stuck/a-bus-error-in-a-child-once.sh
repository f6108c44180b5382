# a bus error in a child, once
# kind: crash
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1; bash -c 'kill -BUS $$' || exit $?; fi
echo done > result
