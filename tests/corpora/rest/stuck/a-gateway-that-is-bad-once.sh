# a gateway that is bad once
# kind: flaky network
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1; echo 'HTTP/1.1 502 Bad Gateway'; exit 1; fi
echo done > result
