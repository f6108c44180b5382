# a server that takes a while
# kind: slow start
(sleep 1.5; touch up) & while ! test -e up; do sleep 0.1; done; rm up; echo up
echo done > result
