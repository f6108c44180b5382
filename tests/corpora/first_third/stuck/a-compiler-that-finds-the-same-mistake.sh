# a compiler that finds the same mistake
# kind: same failure
# ends: stuck_no_progress
echo 'let x: u32 = "a";' > main.rs
echo 'error[E0308]: mismatched types'
echo ' --> main.rs:1:14'
echo 'error: could not compile `app` (bin "app") due to 1 previous error'
exit 101
