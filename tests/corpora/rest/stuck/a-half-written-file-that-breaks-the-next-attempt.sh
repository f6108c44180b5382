# a half-written file that breaks the next attempt
# kind: dirty workspace
# ends: heals
if ! test -e $MARKS/1; then touch $MARKS/1; echo half > state; fi
if test -e state; then echo 'fatal: state is half written'; exit 1; fi
echo done > result
