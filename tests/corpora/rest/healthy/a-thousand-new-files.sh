# a thousand new files
# kind: odd ending
# limit: stepIdleSeconds 30
mkdir many; for n in $(seq 1000); do echo $n > many/$n; done
echo done > result
