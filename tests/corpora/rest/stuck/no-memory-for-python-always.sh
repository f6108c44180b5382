# no memory for Python, always
# kind: OOM kill
# ends: stuck_no_progress
ulimit -v 400000
python3 -c 'x = bytearray(2 * 10 ** 9)'
