# a repository that is not there
# kind: flaky network
# ends: deterministic_repo
git ls-remote /nowhere/at/all.git
