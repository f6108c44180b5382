# warnings that look like errors
# kind: odd ending
echo 'error: this is only a warning'; echo 'Traceback (most recent call last):'; echo 'KeyError: handled'
echo done > result
