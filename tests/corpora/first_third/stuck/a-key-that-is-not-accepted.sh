# a key that is not accepted
# kind: flaky network
# ends: deterministic_policy
echo 'API error: 401 Unauthorized: invalid API key provided'
exit 1
