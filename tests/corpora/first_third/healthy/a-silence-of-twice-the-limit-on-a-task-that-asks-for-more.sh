# a silence of twice the limit, on a task that asks for more
# kind: silence
# limit: stepIdleSeconds 60
sleep 6
echo done > result
