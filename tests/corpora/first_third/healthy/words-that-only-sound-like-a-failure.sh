# words that only sound like a failure
# kind: odd ending
echo 'FAILED 401 Unauthorized, Connection reset, timed out, fatal: not a git repository'
echo done > result
exit 0
