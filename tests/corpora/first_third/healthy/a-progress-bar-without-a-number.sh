# a progress bar without a number
# kind: progress bar
python3 -c '
import time
for done in range(1, 51):
    print(f"\r[{done * chr(61):50}]", end="", flush=True)
    time.sleep(0.12)
'
echo done > result
