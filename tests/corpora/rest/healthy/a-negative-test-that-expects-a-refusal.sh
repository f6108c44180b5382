# a negative test that expects a refusal
# kind: odd ending
echo '403 Forbidden'; echo 'permission denied'; echo 'all tests passed'
echo done > result
