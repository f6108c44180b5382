# a crash that is another one each time
# kind: crash
# ends: transient_runtime
for n in 1 2 3 4 5 6 7 8 9; do test -e $MARKS/$n || break; done
touch $MARKS/$n
set -- zero parser lexer linker loader emitter printer runner reader writer
shift $n
echo "internal error in the $1"
echo $1 > crashed
exit 134
