# files with odd names
# kind: odd ending
touch -- '-rf' 'a b' $'new\nline' 'ü'
echo done > result
