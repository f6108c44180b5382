# a repository of its own making
# kind: odd ending
git checkout -q -b mine; echo one > one; git add -A; git commit -qm One; rm -f one; echo done > result
git stash -q -u 2> /dev/null; git stash pop -q
