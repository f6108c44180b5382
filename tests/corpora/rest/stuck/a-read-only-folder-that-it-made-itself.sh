# a read-only folder that it made itself
# kind: dirty workspace
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1; mkdir out; echo old > out/version; fi
if test -e out/version; then echo 'out is from another run'; exit 1; fi
echo done > result
