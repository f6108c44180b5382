# a merge that was left in the middle
# kind: dirty workspace
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1; git rev-parse HEAD > .git/MERGE_HEAD; fi
if test -e .git/MERGE_HEAD; then echo 'error: you have not concluded your merge'; exit 1; fi
echo done > result
