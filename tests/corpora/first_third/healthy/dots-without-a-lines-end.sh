# dots without a line's end
# kind: progress bar
python3 -c '
import time
for _ in range(60):
    print(".", end="", flush=True)
    time.sleep(0.1)
'
echo done > result
