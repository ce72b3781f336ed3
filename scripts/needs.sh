#!/bin/bash
# Lists what the tests need. What is missing it installs where that takes no
# question: as root, or with a sudo that asks for no password. It starts and
# stops no service: the tests start servers of their own.
# Ends with 0 if everything is there, else with 1.
set -euo pipefail

found() { # whether the programs are in PATH or where distributions put servers
	(
		PATH="$PATH:/usr/sbin:/usr/libexec:/usr/local/sbin"
		for folder in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin; do PATH="$PATH:$folder"; done
		for program; do command -v "$program" >/dev/null || exit 1; done
	)
}
compiles() { echo 'int main(void) { return 0; }' | "$(go env CC)" -x c -include stdlib.h -o /dev/null - 2>/dev/null; }
certificates() {
	local file
	for file in "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" /etc/ssl/cert.pem /etc/pki/tls/certs/ca-bundle.crt; do
		if [ -s "$file" ]; then return; fi
	done
	return 1
}
isolationtester() { # PostgreSQL's own program, which ours is held against
	local file
	for file in /usr/lib/postgresql/*/lib/pgxs/src/test/isolation/isolationtester \
		"$(dirname "$(pg_config --pgxs 2>/dev/null)")/../test/isolation/isolationtester"; do
		if [ -x "$file" ]; then return; fi
	done
	return 1
}

packages=
need() { # need PACKAGES WHAT CHECK...
	if "${@:3}"; then
		echo "  found    $2"
	else
		echo "  missing  $2"
		packages="$packages $1"
	fi
}
look() {
	packages=
	need ca-certificates 'certificates, to fetch Go modules' certificates
	need 'gcc libc6-dev' 'a C compiler, for the race detector' compiles
	need postgresql 'PostgreSQL (postgres, initdb)' found postgres initdb
	need postgresql-client "PostgreSQL's isolationtester" isolationtester
	need mariadb-server-core 'MariaDB (mariadbd, mariadb-install-db)' found mariadbd mariadb-install-db
}
give_up() {
	echo "going on without: what needs it is skipped; $1"
	exit 1
}

echo 'make test needs:'
look
[ -n "$packages" ] || exit 0

command -v apt-get >/dev/null || give_up 'there is no apt-get here to install it with'
by_hand="to install it: apt-get install --no-install-recommends$packages"
as_root=
if [ "$(id -u)" != 0 ]; then
	sudo -n true 2>/dev/null || give_up "$by_hand"
	as_root='sudo -n'
fi
echo "installing$packages"
$as_root bash -s -- $packages <<'END' || give_up "$by_hand"
set -euo pipefail
# Debian's PostgreSQL makes a database cluster and starts it unless this file
# says no. Where the file is, it is not ours to change.
cluster=/etc/postgresql-common/createcluster.conf
if [[ " $* " == *' postgresql '* ]]; then
	if [ ! -e "$cluster" ]; then
		mkdir -p "${cluster%/*}"
		echo 'create_main_cluster = false' >"$cluster"
	elif ! grep -Eq '^ *create_main_cluster *= *(false|no|off)' "$cluster"; then
		echo "PostgreSQL is not installed, because that would also create a database cluster: see $cluster" >&2
		set -- ${*/postgresql/}
	fi
fi
# And no package starts what it brings.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq </dev/null
apt-get install -y -qq --no-install-recommends --no-upgrade "$@" </dev/null >/dev/null
END
look
[ -z "$packages" ] || give_up "$by_hand"
