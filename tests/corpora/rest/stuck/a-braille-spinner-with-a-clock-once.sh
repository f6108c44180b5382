# a braille spinner with a clock, once
# kind: hang in the middle
# ends: heals
echo asking
if ! test -e $MARKS/1; then touch $MARKS/1; python3 -c '
import itertools, time
for n, frame in enumerate(itertools.cycle("\u280b\u2819\u2839\u2838")):
    print(f"\r{frame} Working ({n // 10}s)", end="", flush=True)
    time.sleep(0.05)
'; fi
echo done > result
