# a lock that a killed git left behind
# kind: dirty workspace
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1 .git/index.lock; kill -KILL $$; fi
echo done > result
git add result && git commit -qm 'Done' || exit 1
