# a hang before the first word, once
# kind: hang at start
# ends: heals
test -e $MARKS/1 || { touch $MARKS/1; sleep 600; }
echo done > result
