# a build that says nothing and starts one compiler after the other
# kind: silence
for n in $(seq 30); do sleep 0.2; done
echo done > result
