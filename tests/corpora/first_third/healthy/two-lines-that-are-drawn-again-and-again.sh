# two lines that are drawn again and again
# kind: progress bar
python3 -c '
import time
print("layer a\nlayer b")
for count in range(50):
    print(f"\x1b[2A\x1b[2Klayer a {count * 7} kB\n\x1b[2Klayer b {count * 11} kB", flush=True)
    time.sleep(0.12)
'
echo done > result
