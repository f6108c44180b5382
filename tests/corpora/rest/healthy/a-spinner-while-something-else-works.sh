# a spinner while something else works
# kind: progress bar
python3 -c '
import subprocess, time
for n in range(5):
    work = subprocess.Popen(["bash", "-c", f"sleep 1.2; : {n}"])
    while work.poll() is None:
        for frame in "|/-":
            print(f"\r{frame} building", end="", flush=True)
            time.sleep(0.05)
'
echo done > result
