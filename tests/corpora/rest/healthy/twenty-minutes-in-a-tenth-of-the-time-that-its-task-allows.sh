# twenty minutes in a tenth of the time that its task allows
# kind: silence
# limit: stepIdleSeconds 40
sleep 4
echo done > result
