# a slow import
# kind: slow start
python3 -c 'import time; time.sleep(1.7); print("imported")'
echo done > result
