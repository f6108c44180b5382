# a silence that is half as long as it may be
# kind: silence
sleep 1.5
echo done > result
