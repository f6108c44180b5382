# a test that times itself differently each time
# kind: same failure
# ends: stuck_no_progress
echo "1 failed, 41 passed in $((RANDOM % 90)).$((RANDOM % 90))s"
echo 'E   AssertionError: assert 3 == 4'
exit 1
