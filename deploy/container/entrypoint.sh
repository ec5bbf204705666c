#!/bin/sh
# Runs `gauntlet` with the arguments of the container. A token that comes as a secret becomes that of the work folder, where
# programs look for it and refuse one that others can read (secrets are mounted readable).
set -eu
workdir=${GAUNTLET_WORKDIR:-/var/lib/gauntlet}
secret=${GAUNTLET_TOKEN_FILE:-/run/secrets/gauntlet-token}
if [ -e "$secret" ]; then
  umask 077
  draft=$(mktemp "$workdir/token.XXXXXX")
  cat "$secret" >"$draft"
  mv -f "$draft" "$workdir/token"
fi
exec gauntlet "$@"
