# a last line that is blank
# kind: odd ending
echo done > result
echo; echo; printf '   \n'
