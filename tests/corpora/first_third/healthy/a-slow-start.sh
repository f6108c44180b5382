# a slow start
# kind: slow start
python3 -c 'import time; time.sleep(1.5)'
echo ready
echo done > result
