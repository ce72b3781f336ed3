package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// holder names the process that listens on a TCP port of this machine, if we
// may see it: /proc/net/tcp has the socket's inode, and the process has that
// among its files. (proc(5))
func holder(port int) string {
	sockets := listening(port)
	files, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, file := range files {
		target, err := os.Readlink(file)
		if err != nil || !sockets[target] {
			continue
		}
		folder := filepath.Dir(filepath.Dir(file))
		name, _ := os.ReadFile(filepath.Join(folder, "comm"))
		return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), filepath.Base(folder))
	}
	return ""
}

// listening returns the sockets that listen on the port, as links to them read.
func listening(port int) map[string]bool {
	const isListening, state, inode = "0A", 3, 9 // columns of the table
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, _ := os.ReadFile(table)
		for line := range strings.Lines(string(b)) {
			columns := strings.Fields(line)
			if len(columns) > inode && columns[state] == isListening && strings.HasSuffix(columns[1], fmt.Sprintf(":%04X", port)) {
				sockets["socket:["+columns[inode]+"]"] = true
			}
		}
	}
	return sockets
}
