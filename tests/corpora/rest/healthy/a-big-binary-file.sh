# a big binary file
# kind: odd ending
head -c 3000000 /dev/urandom > blob
echo done > result
