# all of it on stderr, with colours
# kind: heavy output
for n in $(seq 2000); do printf '\033[3%dmwarning\033[0m %d\033[K\n' $((n % 8)) $n; done >&2
echo done > result
