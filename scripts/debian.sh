# What the project needs from Debian: package, and a command or file that shows that it is there. Sourced.

# Compiler for the addon, and what the server calls at run time.
run_packages=(
  'g++=g++' 'make=make' 'python3=python3'
  'nftables=nft' 'iproute2=ip' 'iputils-ping=ping'
)

# Peers and tools of the tests.
test_packages=(
  'patchelf=patchelf' 'openconnect=openconnect' 'ocserv=ocserv' 'iperf3=iperf3' 'tcpdump=tcpdump'
  'procps=sysctl' 'ethtool=ethtool' 'clang=clang++' 'gnutls-bin=certtool' 'openssl=openssl'
  'freeradius=freeradius' 'freeradius-utils=radclient'
  'krb5-kdc=krb5kdc' 'krb5-admin-server=kadmin.local' 'krb5-user=kinit'
  'krb5-k5tls=/usr/share/doc/krb5-k5tls'
  'libssl-dev=/usr/include/openssl/ssl.h' 'libpam0g-dev=/usr/include/security/pam_appl.h'
  'libkrb5-dev=/usr/include/gssapi/gssapi_krb5.h'
  'wireguard-go=wireguard-go' 'wireguard-tools=wg' 'openvpn=openvpn'
  'groff-base=groff' 'systemd=systemd-analyze'
)

# missing_packages PACKAGE=PROBE...: names of those whose probe is absent.
missing_packages() {
  local entry probe
  for entry in "$@"; do
    probe=${entry#*=}
    if [[ $probe == /* ]]; then
      [[ -e $probe ]] || printf '%s ' "${entry%%=*}"
    else
      command -v "$probe" >/dev/null || printf '%s ' "${entry%%=*}"
    fi
  done
}

# The services that Debian would start on installation (ocserv) are not wanted: tests start their own.
apt_install() {
  local policy=/usr/sbin/policy-rc.d made=
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=yes
  fi
  local status=0
  export DEBIAN_FRONTEND=noninteractive
  { apt-get -o DPkg::Lock::Timeout=600 update &&
    apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "$@"; } || status=$?
  [[ -z $made ]] || rm -f "$policy"
  return "$status"
}

# ensure_packages PACKAGE=PROBE...: installs what is missing, or says what to install.
ensure_packages() {
  local names
  names=$(missing_packages "$@")
  [[ -n $names ]] || return 0
  names=${names% }
  command -v apt-get >/dev/null ||
    fail "these Debian packages (or your system's equivalents) are needed and apt-get is not here to install them: $names."
  [[ $(id -u) == 0 ]] ||
    fail "not root: run \"sudo apt-get install $names\" first, or start this command with sudo."
  # shellcheck disable=SC2086
  step debian none "Try \"apt-get update && apt-get install $names\" by hand." \
    "installing Debian packages: $names …" apt_install $names
  names=$(missing_packages "$@")
  [[ -z $names ]] || fail "still missing after the installation: $names. See build/logs/debian.log."
}
