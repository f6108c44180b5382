# control characters
# kind: heavy output
for n in $(seq 300); do printf '\001\002\033]0;t\007\010\033[5n%d\n' $n; done
echo done > result
