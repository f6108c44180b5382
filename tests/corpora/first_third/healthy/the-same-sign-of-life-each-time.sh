# the same sign of life each time
# kind: progress bar
for n in $(seq 12); do echo 'still creating...'; sleep 0.5; done
echo done > result
