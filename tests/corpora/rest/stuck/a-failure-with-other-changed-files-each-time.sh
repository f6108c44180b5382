# a failure with other changed files each time
# kind: same failure
# ends: transient_runtime
for n in 1 2 3 4 5 6 7 8 9; do test -e $MARKS/$n || break; done
touch $MARKS/$n; echo $n > file-$n; echo 'E   AssertionError'; exit 1
