package mysql

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/racelab/racelab"
)

const remedy = "apt install mariadb-server (racelab starts a server of its own and never uses the system's), or name a server with a mysql:// DSN"

// programs in the order of preference within a folder. In MariaDB's packages
// mysqld is another name of mariadbd.
var programs = []string{"mariadbd", "mysqld"}

// folders are where distributions put servers, which PATH often lacks.
var folders = []string{"/usr/sbin", "/usr/libexec", "/usr/local/sbin", "/usr/local/bin", "/usr/local/libexec",
	"/usr/local/mysql/bin", "/opt/homebrew/bin"}

// binary returns the path of the first server program, or "".
func binary() string {
	for _, folder := range append(filepath.SplitList(os.Getenv("PATH")), folders...) {
		for _, name := range programs {
			path := filepath.Join(folder, name)
			if info, err := os.Stat(path); filepath.IsAbs(path) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return path
			}
		}
	}
	return ""
}

func find(ctx context.Context) racelab.Found {
	found := racelab.Found{Engine: "mysql", Remedy: remedy}
	path := binary()
	if path == "" {
		return found
	}
	version, err := versionOf(ctx, path)
	if err != nil {
		found.Remedy = path + " does not run: " + err.Error()
		return found
	}
	return racelab.Found{Engine: "mysql", Found: true, Version: version}
}

// versionOf returns what the program prints of itself, without its path.
func versionOf(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--no-defaults", "--version").Output()
	_, version, _ := strings.Cut(string(out), " ")
	return strings.TrimSpace(version), err
}
