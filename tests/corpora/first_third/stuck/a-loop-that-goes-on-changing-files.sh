# a loop that goes on changing files
# kind: loop
# ends: transient_runtime
for n in $(seq 100000); do echo $RANDOM$RANDOM >> numbers; sleep 0.05; done
