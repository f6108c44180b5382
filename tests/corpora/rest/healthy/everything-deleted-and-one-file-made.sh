# everything deleted and one file made
# kind: odd ending
git rm -rqf . > /dev/null; rm -rf ./*; echo done > result
