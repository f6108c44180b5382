# its repository removed
# kind: odd ending
rm -rf .git
echo done > result
