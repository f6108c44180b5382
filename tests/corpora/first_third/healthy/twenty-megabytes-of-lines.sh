# twenty megabytes of lines
# kind: heavy output
seq 3000000
echo done > result
