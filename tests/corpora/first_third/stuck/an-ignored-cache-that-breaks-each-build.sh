# an ignored cache that breaks each build
# kind: dirty workspace
# ends: heals
echo cache/ > .gitignore
if ! test -e $MARKS/1; then touch $MARKS/1; mkdir cache; fi
if test -d cache; then echo 'fatal: cache is of another version'; exit 1; fi
echo done > result
