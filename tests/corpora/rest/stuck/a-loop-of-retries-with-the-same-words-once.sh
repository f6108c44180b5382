# a loop of retries with the same words, once
# kind: loop
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1; while :; do echo 'connection lost, again'; sleep 0.1; done; fi
echo done > result
