# both streams in turn
# kind: heavy output
for n in $(seq 500); do echo out $n; echo err $n >&2; done
echo done > result
