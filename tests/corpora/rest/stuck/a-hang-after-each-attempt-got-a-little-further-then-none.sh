# a hang after each attempt got a little further, then none
# kind: hang in the middle
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1; echo part one; sleep 600
elif ! test -e $MARKS/2; then touch $MARKS/2; echo part one; echo part two; sleep 600
fi
echo done > result
