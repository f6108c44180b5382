# a whole screen with a number in it
# kind: progress bar
python3 -c '
import time
for n in range(50):
    print(f"\x1b[H\x1b[2Jbuild\n\n{n} of 50 targets\n", end="", flush=True)
    time.sleep(0.1)
'
echo done > result
