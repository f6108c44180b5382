# a daemon that is left behind
# kind: odd ending
setsid sleep 600 > /dev/null 2>&1 < /dev/null &
echo done > result
