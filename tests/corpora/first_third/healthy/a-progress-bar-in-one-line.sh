# a progress bar in one line
# kind: progress bar
python3 -c '
import time
for percent in range(0, 101, 2):
    bar = "#" * (percent // 2)
    print(f"\r[{bar:50}] {percent:3}%", end="", flush=True)
    time.sleep(0.12)
'
echo done > result
