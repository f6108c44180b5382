# a slow bar, a step each second and a half
# kind: progress bar
for n in 1 2 3 4; do printf '\r%d/4' $n; sleep 1.5; done; echo
echo done > result
