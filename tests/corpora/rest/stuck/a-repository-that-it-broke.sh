# a repository that it broke
# kind: dirty workspace
# ends: deterministic_repo
if ! test -e $MARKS/1; then touch $MARKS/1; echo nonsense > .git/HEAD; fi
git status > /dev/null || { echo 'the repository cannot be used'; exit 1; }
echo done > result
