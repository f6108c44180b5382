# words in many languages
# kind: heavy output
for n in $(seq 500); do echo 'žluťoučký kůň 日本語 العربية 👩‍💻'; done
echo done > result
