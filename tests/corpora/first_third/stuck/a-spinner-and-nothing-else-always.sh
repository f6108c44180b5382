# a spinner and nothing else, always
# kind: hang in the middle
# ends: stuck_no_progress
echo 'asking the model'
python3 -c '
import itertools, time
for frame in itertools.cycle("|/-\\"):
    print(f"\r{frame} thinking", end="", flush=True)
    time.sleep(0.05)
'
