# a loop of two lines in turn
# kind: loop
# ends: stuck_no_progress
while :; do echo ping; echo pong; sleep 0.05; done
