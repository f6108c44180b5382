# the same failure with other addresses, times and numbers
# kind: same failure
# ends: stuck_no_progress
echo "$(date +%T.%N) worker-$$ panicked at 0x$(printf %08x $RANDOM$RANDOM)"
echo "thread 'main' panicked at src/lib.rs:42:9: index out of bounds: the len is 3"
exit 101
