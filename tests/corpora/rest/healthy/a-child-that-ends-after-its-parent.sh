# a child that ends after its parent
# kind: odd ending
(sleep 0.1; echo late) &
echo done > result
