# a hang on a pipe that nobody writes to, once
# kind: hang at start
# ends: heals
mkfifo pipe; if ! test -e $MARKS/1; then touch $MARKS/1; read line < pipe; fi
echo done > result
rm -f pipe
