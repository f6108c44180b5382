# a login that is refused
# kind: flaky network
# ends: deterministic_policy
echo "fatal: Authentication failed for 'https://example.org/a/b.git/'"
exit 128
