# a silent pipeline
# kind: silence
seq 20 | while read n; do sleep 0.2; done
echo done > result
