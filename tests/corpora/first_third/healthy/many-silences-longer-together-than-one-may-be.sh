# many silences, longer together than one may be
# kind: silence
for n in 1 2 3 4; do sleep 1.2; echo $n; done
echo done > result
