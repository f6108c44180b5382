# a silent download that writes to a file
# kind: silence
for n in $(seq 20); do head -c 100000 /dev/zero >> file; sleep 0.2; done; rm file
echo done > result
