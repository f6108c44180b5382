# nothing but the file
# kind: odd ending
echo done > result
