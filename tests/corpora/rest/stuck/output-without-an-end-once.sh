# output without an end, once
# kind: loop
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1; yes nothing; fi
echo done > result
