# a silence in Python
# kind: silence
python3 -c 'import time; time.sleep(1.6)'
echo done > result
