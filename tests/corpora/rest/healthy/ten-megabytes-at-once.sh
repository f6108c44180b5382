# ten megabytes at once
# kind: heavy output
head -c 10000000 /dev/zero | tr '\0' '\n'
echo done > result
