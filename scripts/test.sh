#!/bin/bash
# Everything that must hold before a change lands.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v go >/dev/null; then
	echo "make test needs Go $(awk '/^go / { print $2 }' go.mod) or newer in PATH or in /usr/local/go: https://go.dev/doc/install" >&2
	exit 2
fi
# The tree may belong to somebody else (sudo make test), whose git would refuse.
export GOFLAGS="${GOFLAGS:-} -buildvcs=false"

if scripts/needs.sh; then
	export RACELAB_TEST_REQUIRE=1
fi
race=-race
if [ "$(go env GOOS)" = linux ] && [ "$(go env CGO_ENABLED)" = 0 ]; then
	race=
fi

scripts/lint.sh
echo "== go test $race"
# What takes longest begins first: at the end it would be alone, on one processor.
exec go test $race -timeout 45m ./internal/stage ./cmd/racelab ./...
