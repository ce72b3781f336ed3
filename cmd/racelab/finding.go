package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/racelab/racelab"
)

// A finding is what one of doctor's checks gave.
type finding struct {
	Check  string `json:"check"` // tmpdir, port, or engine
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy"` // "" if there is nothing to do
}

// longestSocket is the name of a server's or worker's socket, and as much again
// as other systems than Linux allow less.
const longestSocket = ".s.PGSQL.5432" + "1234"

// checkTemporary makes what a private server needs in the place for temporary
// files: a folder, and a socket in it.
func checkTemporary(parent string) finding {
	f := finding{Check: "tmpdir", Detail: parent}
	fail := func(err error, remedy string) finding {
		f.Detail, f.Remedy = err.Error(), remedy
		return f
	}
	folder, err := os.MkdirTemp(parent, "racelab-") // a name as long as those of racelab's folders
	if err != nil {
		return fail(err, "set TMPDIR to a folder that can be written, such as /tmp")
	}
	defer os.RemoveAll(folder)
	if err := os.WriteFile(filepath.Join(folder, "room"), make([]byte, 1<<20), 0o600); err != nil {
		return fail(err, "make room there, or set TMPDIR to a folder that has some")
	}
	socket, err := net.Listen("unix", filepath.Join(folder, longestSocket))
	if err != nil {
		return fail(fmt.Errorf("%s is too long a path for a server's socket, or takes none: %w", parent, err), "set TMPDIR to a shorter folder, such as /tmp")
	}
	socket.Close()
	f.OK = true
	return f
}

// labAddress is where serve listens unless it is told otherwise.
const labAddress = "127.0.0.1:8080"

func checkPort() finding {
	f := finding{Check: "port", OK: true, Detail: labAddress + " is free for `racelab serve`"}
	l, err := net.Listen("tcp", labAddress)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		f.OK, f.Detail = false, labAddress+" is taken, by a laboratory perhaps"
		f.Remedy = "`racelab serve --listen 127.0.0.1:0` takes any free port"
	case err != nil:
		f.OK, f.Detail, f.Remedy = false, err.Error(), remedy(err)
	default:
		l.Close()
	}
	return f
}

// checkEngine opens an engine as a command would: a server, and a world in it.
func checkEngine(ctx context.Context, e racelab.Engine, dsn string, l racelab.Level) finding {
	f := finding{Check: "engine", Detail: e.Name}
	product, err := openOnce(ctx, e, dsn, l)
	if err != nil {
		f.Detail = fmt.Sprintf("%s: %v", e.Name, err)
		f.Remedy = "look at the DSN, and whether its user may make databases"
		if dsn == "" {
			f.Remedy = e.Find(ctx).Remedy
		}
		return f
	}
	f.OK, f.Detail = true, product.Name+" "+product.Version+" can be opened"
	return f
}

func openOnce(ctx context.Context, e racelab.Engine, dsn string, l racelab.Level) (_ racelab.Product, err error) {
	server, err := e.Start(ctx, dsn)
	if err != nil {
		return racelab.Product{}, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	world, err := server.Open(ctx, racelab.Config{Level: l})
	if err != nil {
		return racelab.Product{}, err
	}
	return server.Product(), world.Close()
}
