# a silent run of tests in the background
# kind: silence
(for n in $(seq 24); do sleep 0.2; done) & wait
echo done > result
