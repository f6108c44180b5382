# a detached daemon that works on while its parent waits
# kind: silence
setsid bash -c "for n in \$(seq 20); do sleep 0.2; done; touch ready" &
while ! test -e ready; do sleep 0.3; done; rm ready
echo done > result
