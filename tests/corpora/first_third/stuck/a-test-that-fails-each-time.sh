# a test that fails each time
# kind: same failure
# ends: stuck_no_progress
echo '============ FAILURES ============'
echo '>       assert mean([]) == 0'
echo 'E       ZeroDivisionError: division by zero'
echo 'FAILED tests/test_mean.py::test_of_nothing'
exit 1
