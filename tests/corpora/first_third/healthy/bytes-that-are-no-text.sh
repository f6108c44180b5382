# bytes that are no text
# kind: heavy output
head -c 3000000 /dev/urandom
echo done > result
