# too many requests, twice
# kind: flaky network
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1; echo 'Error: 429 Too Many Requests'; exit 1
elif ! test -e $MARKS/2; then touch $MARKS/2; echo 'Error: 429 Too Many Requests, retry after 2s'; exit 1
fi
echo done > result
