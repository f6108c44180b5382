# a connection that times out, always
# kind: flaky network
# ends: stuck_no_progress
echo 'curl: (28) Connection timed out after 10001 milliseconds'
exit 28
