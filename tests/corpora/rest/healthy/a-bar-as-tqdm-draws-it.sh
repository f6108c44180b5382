# a bar as tqdm draws it
# kind: progress bar
python3 -c '
import time
for n in range(50):
    bar = "\u2588" * (n // 2)
    print(f"\r{2 * n:3}%|{bar:25}| {n}/50 [00:0{n // 10}<00:0{5 - n // 10}, 9.98it/s]", end="", flush=True)
    time.sleep(0.1)
'
echo done > result
