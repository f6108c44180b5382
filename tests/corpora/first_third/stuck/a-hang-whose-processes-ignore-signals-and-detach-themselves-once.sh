# a hang whose processes ignore signals and detach themselves, once
# kind: hang in the middle
# ends: heals
trap '' INT TERM
echo began
if ! test -e $MARKS/1; then
    touch $MARKS/1
    setsid sleep 600 &
    (trap '' INT TERM; sleep 600) &
    while :; do sleep 600; done
fi
echo done > result
