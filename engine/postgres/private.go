package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/throwaway"
)

const (
	// user is the private server's only role, and superuser there.
	user = "racelab"
	// startLimit is twenty times what a start takes on a slow machine.
	startLimit = time.Minute
	grace      = 5 * time.Second
)

// settings are the private server's. Its data need not survive a crash, and
// nothing may run in it that a run did not ask for.
var settings = []string{
	"listen_addresses=",
	"max_connections=300", // the laboratory's 64 workers have two each, and as many again while they are replaced,
	"shared_buffers=32MB",
	"fsync=off",
	"synchronous_commit=off",
	"full_page_writes=off",
	"autovacuum=off",
	"max_prepared_transactions=64", // isolation tests prepare some, and the default is none
	"wal_level=minimal",
	"max_wal_senders=0",
	"max_logical_replication_workers=0",
	// Keeps shared memory in the data folder, where it goes away with it.
	"dynamic_shared_memory_type=mmap",
	"jit=off",
}

// startPrivate makes a cluster in a throwaway folder and runs it there.
func startPrivate(ctx context.Context) (_ racelab.Server, err error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	folder, err := throwaway.NewServerFolder()
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	s := &server{folder: folder, made: map[string]bool{}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start PostgreSQL: %w", err), s.Close())
		}
	}()
	if _, err := folder.Socket(".s.PGSQL.5432"); err != nil {
		return nil, err
	}
	if strings.Contains(folder.Path, ",") {
		return nil, fmt.Errorf("PostgreSQL and its clients take %s for several folders, because of its comma: set TMPDIR to another folder, such as /tmp", folder.Path)
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := makeCluster(ctx, folder, bin); err != nil {
		return nil, err
	}
	args := []string{"-D", filepath.Join(folder.Path, "data"), "-k", folder.Path}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	// The server outlives the start, so the start's context does not end it.
	if s.process, err = folder.Start(folder.Command(context.WithoutCancel(ctx), filepath.Join(bin, "postgres"), args...)); err != nil {
		return nil, err
	}
	// The port is named because the environment may name another one.
	s.url = &url.URL{Scheme: "postgres", User: url.User(user), Path: "/postgres",
		RawQuery: "port=5432&host=" + strings.ReplaceAll(url.QueryEscape(folder.Path), "+", "%20")} // to PostgreSQL a + is a +
	return s, s.await(ctx)
}

func makeCluster(ctx context.Context, folder *throwaway.Folder, bin string) error {
	err := folder.Run(ctx, filepath.Join(bin, "initdb"), "-D", filepath.Join(folder.Path, "data"), "-U", user,
		"--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "--wal-segsize=1")
	if ctx.Err() != nil {
		return fmt.Errorf("make a cluster: %w", ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("make a cluster: %w", err)
	}
	return nil
}

// await connects until the server answers or ends.
func (s *server) await(ctx context.Context) error {
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		err := s.meet(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-s.process.Done():
			return fmt.Errorf("the server ended: %s", s.process.Log())
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w: %w", ctx.Err(), err)
		}
	}
}
