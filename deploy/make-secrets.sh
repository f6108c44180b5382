#!/bin/sh
# Make the secrets of a new deployment, one file each, in the folder given; those that are there stay.
# The containers' user reads them by their mount; on this machine the folder keeps others out.
#
#   deploy/make-secrets.sh deploy/secrets
set -eu
folder=${1:?usage: $0 FOLDER}
umask 022
mkdir -p "$folder"
chmod 700 "$folder"
make() {
    [ -s "$folder/$1" ] || printf '%s\n' "$2" >"$folder/$1"
}
for user in queue_api control worker sweeper operator; do
    make "$user" "$(openssl rand -hex 32)"
done
make session_key "$(openssl rand -hex 32)"
make live_keys "k1:$(openssl rand -base64 32)"
make bootstrap_admin_token "$(openssl rand -hex 32)"
make grafana_admin "$(openssl rand -hex 16)"
