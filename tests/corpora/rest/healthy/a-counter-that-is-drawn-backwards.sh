# a counter that is drawn backwards
# kind: progress bar
python3 -c '
import time
print("objects: 0", end="", flush=True)
for n in range(1, 50):
    print("\b" * len(str(n - 1)) + str(n), end="", flush=True)
    time.sleep(0.1)
'
echo done > result
