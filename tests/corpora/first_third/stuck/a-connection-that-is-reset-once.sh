# a connection that is reset once
# kind: flaky network
# ends: heals
test -e $MARKS/1 || { touch $MARKS/1
echo 'curl: (56) Recv failure: Connection reset by peer'; exit 56; }
echo done > result
