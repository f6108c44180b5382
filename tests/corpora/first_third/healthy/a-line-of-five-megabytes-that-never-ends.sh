# a line of five megabytes that never ends
# kind: heavy output
head -c 5000000 /dev/zero | tr '\0' x
echo done > result
