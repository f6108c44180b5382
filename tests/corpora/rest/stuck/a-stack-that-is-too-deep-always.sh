# a stack that is too deep, always
# kind: crash
# ends: stuck_no_progress
python3 -c '
def f(): return f()
f()
'
