# a hundred thousand coloured lines
# kind: heavy output
for n in $(seq 1000); do printf '\033[32mok\033[0m %d\n%.0s' $(seq 100); done
echo done > result
