# links to nowhere
# kind: odd ending
ln -s /nowhere dangling; ln -s . loop; mkfifo pipe; rm pipe
echo done > result
