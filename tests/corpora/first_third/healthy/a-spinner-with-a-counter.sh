# a spinner with a counter
# kind: progress bar
python3 -c '
import time
for count in range(60):
    print(f"\r\x1b[2K* fetched {count} objects", end="", flush=True)
    time.sleep(0.1)
'
echo done > result
