# a name that is not resolved, once
# kind: flaky network
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1; echo 'curl: (6) Could not resolve host: api.example.org'; exit 6; fi
echo done > result
