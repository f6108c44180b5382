# a terminal in another state
# kind: odd ending
stty raw -echo; printf '\033]0;title\007\033[?1049h\033[2J\033[Hfull screen'; sleep 1
printf '\033[?1049l'; stty sane; echo done > result
