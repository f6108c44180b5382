# two different troubles, then none
# kind: flaky network
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1
  echo 'Error: getaddrinfo EAI_AGAIN registry.npmjs.org'; exit 1
elif ! test -e $MARKS/2; then touch $MARKS/2
  echo 'HTTP 503 Service Unavailable'; exit 1
fi
echo done > result
