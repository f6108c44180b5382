#!/bin/sh
# Print users.acl with a password for each user: only its SHA-256, as the server keeps it anyhow.
# The folder has one file for each user, <service>, with its password; a user without one cannot log in.
#
#   users-with-passwords.sh users.acl /run/secrets/store > /run/store/users.acl
set -eu
if [ $# -ne 2 ]; then
    echo "usage: $0 RULES FOLDER" >&2
    exit 2
fi
while IFS= read -r line; do
    case $line in
    "user sluicegate_"*)
        user=${line#user sluicegate_}
        file=$2/${user%% *}
        if [ -r "$file" ]; then
            password=$(tr -d '\r\n' <"$file")
            if [ ${#password} -lt 16 ]; then
                echo "$file: a password of at least 16 characters is needed" >&2
                exit 1
            fi
            hash=$(printf %s "$password" | sha256sum)
            line="$line #${hash%% *}"
        fi
        ;;
    esac
    printf '%s\n' "$line"
done <"$1"
