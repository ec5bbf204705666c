#!/bin/sh
# Starts the program of this name in ../libexec/gauntlet, whose libraries lie in ../lib. The machine's C library does it
# where it is new enough; else, or where there is none, the loader and C library of the package do.
set -eu
self=$(readlink -f "$0")
package=${self%/bin/*}
program=$package/libexec/gauntlet/${self##*/}
needed=@GLIBC_MINOR@

has=$(getconf GNU_LIBC_VERSION 2>/dev/null) || has=
has=${has#glibc 2.}
case $has in '' | *[!0-9]*) has=0 ;; esac
[ "$has" -lt "$needed" ] || exec "$program" "$@"

case $package in
*[:\;\$]*)
  echo "${self##*/}: this machine's C library is older than 2.$needed, and the package's own cannot be named in a folder with ':', ';' or '\$': $package" >&2
  exit 2
  ;;
esac
exec "$package/lib/glibc/@LOADER@" --library-path "$package/lib/glibc" "$program" "$@"
