# a slow start behind a banner
# kind: slow start
echo 'tool 1.2.3'; sleep 1.6; echo ready
echo done > result
