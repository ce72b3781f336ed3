#!/bin/bash
# Proves that `make test` works on a new Debian: makes one in a folder, with
# this machine's package mirror and Go, runs the last commit's tests in it as
# root, and then as an ordinary user. `fresh.sh COMMAND` runs that instead.
set -euo pipefail
cd "$(dirname "$0")/.."
command=${1:-make test}

if [ -z "${FRESH_ROOT:-}" ]; then
	if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
		echo 'make test-fresh needs to be root, and debootstrap: apt-get install debootstrap' >&2
		exit 2
	fi
	FRESH_ROOT=$(mktemp -d "${TMPDIR:-/var/tmp}/racelab-fresh.XXXXXX")
	trap 'rm -rf --one-file-system "$FRESH_ROOT"' EXIT
	export FRESH_ROOT
	# All that is mounted or started below ends with this namespace, however it ends.
	unshare --mount --pid --fork --kill-child --mount-proc "$0" "$command"
	exit
fi

root=$FRESH_ROOT
step() { printf '=== %4ds  %s\n' "$SECONDS" "$*"; }

step debootstrap
mirror=$(apt-get indextargets --format '$(LABEL) $(SITE)' 'Created-By: Packages' | awk '$1 == "Debian" { print $2; exit }')
chmod 755 "$root"
debootstrap --variant=minbase --include=make bookworm "$root" "$mirror" >"$root.log" 2>&1 || { tail "$root.log"; exit 1; }
rm -f "$root.log"

step copy
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
apt-config dump | grep -E '^Acquire::(https?::|Check-)' >"$root/etc/apt/apt.conf.d/99host" || true
mkdir -p "$root/usr/local/share/ca-certificates" "$root/root/racelab"
cp -r /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
cp -r "$(go env GOROOT)" "$root/usr/local/go"
git -c safe.directory='*' archive HEAD | tar -x -C "$root/root/racelab"
[ -z "$(git -c safe.directory='*' status --porcelain)" ] || echo 'what is not committed is not part of this'

mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"

settings=(PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8)
for name in GOPROXY GOSUMDB GONOPROXY GONOSUMDB; do settings+=("$name=$(go env $name)"); done
for name in http_proxy https_proxy no_proxy; do settings+=("$name=${!name:-}"); done
run() { # run USER HOME
	chroot --userspec="$1" --groups= "$root" env -i "${settings[@]}" "HOME=$2" bash -c "cd ~/racelab && $command" </dev/null
}

step "$command, as root"
run root:root /root

step "$command, as an ordinary user"
chroot "$root" useradd --home-dir /home/tester --no-create-home tester
cp -a "$root/root" "$root/home/tester"
chroot "$root" chown -R tester:tester /home/tester
run tester:tester /home/tester
step 'both passed'
