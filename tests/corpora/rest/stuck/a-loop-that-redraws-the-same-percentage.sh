# a loop that redraws the same percentage
# kind: loop
# ends: stuck_no_progress
python3 -c '
import time
while True:
    print("\r 42%", end="", flush=True)
    time.sleep(0.05)
'
