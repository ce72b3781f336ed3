#!/bin/bash
# What must hold of the code before its tests are worth running.
set -euo pipefail
cd "$(dirname "$0")/.."

formatted() {
	local files
	files=$(gofmt -l .)
	[ -z "$files" ] || { printf 'run gofmt -w on\n%s\n' "$files"; return 1; }
}

# tidy also wants the modules of our modules' tests. Without a network they
# may be out of reach, and then there is no answer, which is no failure.
tidy() {
	local changes
	changes=$(go mod tidy -diff 2>/dev/null) && return
	[ -z "$changes" ] || { printf 'run go mod tidy, which wants\n%s\n' "$changes"; return 1; }
	echo 'not checked: some modules could not be fetched'
}

failed=
check() {
	echo "== $*"
	"$@" || failed="$failed, $*"
}
check formatted
check tidy
check go vet ./...
check env CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 go vet ./...
check go tool staticcheck ./...
[ -z "$failed" ] || { echo "failed: ${failed#, }"; exit 1; } >&2
