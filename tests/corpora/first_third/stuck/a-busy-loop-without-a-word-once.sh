# a busy loop without a word, once
# kind: loop
# ends: heals
test -e $MARKS/1 || { touch $MARKS/1; while :; do :; done; }
echo done > result
