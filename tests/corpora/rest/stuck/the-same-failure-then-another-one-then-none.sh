# the same failure, then another one, then none
# kind: same failure
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1; echo 'error: parser: no rule'; exit 1
elif ! test -e $MARKS/2; then touch $MARKS/2; echo 'error: linker: no symbol'; exit 1
fi
echo done > result
