#!/bin/sh
# Runs the command of the container. An ocserv command line whose configuration is not there becomes the embedded default,
# which makes a certificate and a user and prints how to connect; they stay in /var/lib/vpn.
set -eu
config=${OCSERV_CONFIG:-/etc/ocserv/ocserv.conf}
case "${1:-ocserv}" in
  -*) set -- ocserv -f -c "$config" "$@" ;;
esac
if [ "${1:-ocserv}" = ocserv ] && [ ! -e "$config" ]; then
  echo "no $config in this container: starting with the embedded default" >&2
  exec vpn serve
fi
exec "$@"
