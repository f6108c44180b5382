# an npm script that fails
# kind: same failure
# ends: stuck_no_progress
echo 'npm ERR! code ELIFECYCLE'; echo 'npm ERR! errno 1'
echo "npm ERR!     /var/cache/npm/_logs/$(date +%FT%H_%M_%S)-debug.log"
exit 1
