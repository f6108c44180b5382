# a segmentation fault, once
# kind: crash
# ends: heals
echo working
test -e $MARKS/1 || { touch $MARKS/1; kill -SEGV $$; }
echo done > result
