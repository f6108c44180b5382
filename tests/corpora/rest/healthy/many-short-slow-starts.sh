# many short slow starts
# kind: slow start
for n in 1 2 3 4 5; do python3 -c 'import time; time.sleep(0.7)'; done
echo done > result
