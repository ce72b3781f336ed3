package postgres

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/racelab/racelab"
)

// Engine is PostgreSQL. Its DSNs are postgres:// URLs.
var Engine = racelab.Engine{
	Name:    "postgres",
	Aliases: []string{"postgresql"},
	Dialect: dialect,
	Find:    find,
	Start:   start,
}

const remedy = "install PostgreSQL (Debian: apt install postgresql), or name a server with --dsn postgres://..."

func find(ctx context.Context) racelab.Found {
	f := racelab.Found{Engine: "postgres"}
	bin, err := programs()
	if err != nil {
		f.Remedy = remedy
		return f
	}
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		f.Remedy = fmt.Sprintf("%s does not run: %v", filepath.Join(bin, "postgres"), err)
		return f
	}
	f.Found, f.Version = true, strings.TrimSpace(string(out))
	return f
}

func start(ctx context.Context, dsn string) (racelab.Server, error) {
	if dsn == "" {
		return startPrivate(ctx)
	}
	return startNamed(ctx, dsn)
}

// Distributions keep a folder for each version, out of the PATH.
var folders = []string{
	"/usr/lib/postgresql/*/bin", // Debian
	"/usr/pgsql-*/bin",          // the project's own packages for Red Hat
	"/usr/libexec/postgresql*",  // Alpine
	"/usr/local/pgsql/bin",      // built from source
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// programs returns the folder of a server's programs: the PATH's if it has
// them, else the newest version's.
func programs() (string, error) {
	candidates := filepath.SplitList(os.Getenv("PATH"))
	for _, pattern := range folders {
		found, _ := filepath.Glob(pattern) // the patterns are well-formed
		slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
		candidates = append(candidates, found...)
	}
	for _, folder := range candidates {
		// A link in the PATH may lead to one version's server and another's
		// initdb, which refuse each other: only a folder that holds both will do.
		server, err := filepath.EvalSymlinks(filepath.Join(folder, "postgres"))
		if err != nil {
			continue
		}
		bin := filepath.Dir(server)
		if isProgram(server) && isProgram(filepath.Join(bin, "initdb")) {
			return bin, nil
		}
	}
	return "", fmt.Errorf("no PostgreSQL server was found on this machine: %s", remedy)
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// version reads the major version out of a folder's path, 0 if there is none.
func version(path string) int {
	digits := strings.FieldsFunc(path, func(r rune) bool { return r < '0' || r > '9' })
	if len(digits) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(digits[0])
	return n
}
