# output that is closed early
# kind: odd ending
exec > /dev/null 2>&1; sleep 1.5
echo done > result
