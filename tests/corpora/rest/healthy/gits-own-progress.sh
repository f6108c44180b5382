# git's own progress
# kind: progress bar
git clone --progress --no-local . ../clone-$$ 2>&1; rm -rf ../clone-$$
echo done > result
