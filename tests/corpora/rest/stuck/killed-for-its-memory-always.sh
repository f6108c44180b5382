# killed for its memory, always
# kind: OOM kill
# ends: stuck_no_progress
echo allocating; kill -KILL $$
