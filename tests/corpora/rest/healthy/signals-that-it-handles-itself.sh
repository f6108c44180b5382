# signals that it handles itself
# kind: odd ending
trap 'echo got it' USR1; kill -USR1 $$; sleep 0.2
echo done > result
