# JSON, a line each
# kind: heavy output
for n in $(seq 3000); do echo "{\"event\": $n, \"status\": \"error\"}"; done
echo done > result
