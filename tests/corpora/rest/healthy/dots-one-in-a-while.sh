# dots, one in a while
# kind: progress bar
for n in 1 2 3 4; do printf .; sleep 1.3; done; echo
echo done > result
