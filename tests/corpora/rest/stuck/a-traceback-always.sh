# a traceback, always
# kind: crash
# ends: stuck_no_progress
python3 -c '
def load(path):
    return open(path).read()
load("missing" + str(id(object())))
'
