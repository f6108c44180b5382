# a silence just below the limit, twice
# kind: silence
sleep 1.8; echo half; sleep 1.8
echo done > result
