#!/usr/bin/env bash
# systemd as process 1 of a machine of its own, in the network namespace that this is started in.
#
#   systemd-machine.sh ROOT PROJECT
#
# ROOT: an empty folder, for /. /usr is the host's, read-only; /etc, /var, /run, /tmp and /dev are its own and start almost
# empty; what is in ROOT.etc is copied to /etc. PROJECT is what /opt/ocvpn holds, as an installation would. Says "process N" of
# its process 1; ends it with all others at SIGTERM.
set -euo pipefail

if [[ ${1:-} != --mounts && ${1:-} != --inside ]]; then
  exec unshare --mount --propagation private "$0" --mounts "$@"
fi
if [[ $1 == --mounts ]]; then
  # A group of its own for all of it, in version 2's hierarchy, which may be mounted elsewhere or not at all.
  mount -t cgroup2 cgroup2 "$2"
  group=$2/ocvpn-$$
  mkdir "$group"
  ( echo "$BASHPID" >"$group/cgroup.procs"
    exec unshare --cgroup --mount --uts --ipc --pid --fork --kill-child "$0" --inside "${@:2}" ) &
  child=$!
  trap 'kill -KILL "$child"' TERM INT
  until first=$(pgrep -P "$child" -f ^/lib/systemd/systemd); do
    kill -0 "$child" || exit 1
    sleep 0.1
  done
  echo "process $first"
  { wait "$child" || true; } 2>/dev/null
  # Until the kernel has taken the last process away.
  for _ in {1..100}; do
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
    sleep 0.1
  done
  exit 0
fi

root=$2 project=$3
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$root"
cd "$root"
mkdir -p usr etc/systemd/system var/lib var/log run tmp proc sys dev root opt/ocvpn/bin opt/ocvpn/lib/node_modules/ocvpn
for link in bin sbin lib lib64 lib32; do [[ ! -L /$link ]] || cp -P "/$link" "$link"; done
mount --rbind /usr usr
mount -o remount,bind,ro usr
for file in passwd group nsswitch.conf ld.so.cache pam.d dbus-1 ssl alternatives; do
  [[ ! -e /etc/$file ]] || cp -a "/etc/$file" etc/
done
: >etc/machine-id
cp -a "$root.etc/." etc/
# As "npm install -g --prefix /opt/ocvpn" leaves it.
mount --rbind "$project" opt/ocvpn/lib/node_modules/ocvpn
ln -s ../lib/node_modules/ocvpn/bin/run.js opt/ocvpn/bin/vpn

mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/net dev/pts dev/shm
for device in null zero full random urandom tty net/tun; do
  : >"dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp

# Nothing of a real machine but the journal and the message bus.
for unit in systemd-udevd systemd-networkd systemd-logind systemd-resolved systemd-timesyncd console-getty; do
  ln -s /dev/null "etc/systemd/system/$unit.service"
done
ln -s /dev/null etc/systemd/system/getty.target
exec env -i container=ocvpn PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  chroot "$root" /lib/systemd/systemd --system --log-target=journal --show-status=0 --unit=multi-user.target
