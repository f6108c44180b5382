# a hang after some work, once
# kind: hang in the middle
# ends: heals
echo collecting; echo first > part
test -e $MARKS/1 || { touch $MARKS/1; sleep 600; }
echo done > result
