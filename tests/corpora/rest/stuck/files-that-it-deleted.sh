# files that it deleted
# kind: dirty workspace
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1; rm README.md; fi
test -e README.md || { echo 'README.md is needed'; exit 1; }
echo done > result
