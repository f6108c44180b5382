# a hang in a Python program that waits for a thread, once
# kind: hang in the middle
# ends: heals
echo working
if ! test -e $MARKS/1; then touch $MARKS/1; python3 -c 'import threading; threading.Event().wait()'; fi
echo done > result
