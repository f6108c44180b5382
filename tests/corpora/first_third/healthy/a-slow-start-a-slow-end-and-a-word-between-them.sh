# a slow start, a slow end, and a word between them
# kind: slow start
sleep 1.4; echo half; sleep 1.4
echo done > result
