# a bar after a long spinner
# kind: progress bar
python3 -c '
import time
for n in range(20):
    print("\r" + "|/-\\"[n % 4], end="", flush=True)
    time.sleep(0.1)
for n in range(40):
    print(f"\rcopying {n}", end="", flush=True)
    time.sleep(0.1)
'
echo done > result
