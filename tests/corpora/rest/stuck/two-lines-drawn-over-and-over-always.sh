# two lines drawn over and over, always
# kind: hang in the middle
# ends: stuck_no_progress
echo 'asking the model'
python3 -c '
import itertools, time
print("\n")
for frame in itertools.cycle("|/-"):
    print(f"\x1b[2A\x1b[2K{frame} thinking\n\x1b[2Kpress escape to stop", flush=True)
    time.sleep(0.05)
'
