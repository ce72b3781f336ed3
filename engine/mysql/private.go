package mysql

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/throwaway"
)

// startLimit bounds a start, in which the server makes its files.
const startLimit = 60 * time.Second

// A private server lives in a folder of its own and goes away with it.
type private struct {
	folder  *throwaway.Folder
	process *throwaway.Process
}

// stop ends the server without letting it write anything: nobody will read it.
func (p *private) stop() error {
	if p.process != nil {
		p.process.Stop(syscall.SIGKILL, 10*time.Second)
	}
	return p.folder.Remove()
}

func startPrivate(ctx context.Context) (racelab.Server, error) {
	program := binary()
	if program == "" {
		return nil, errors.New("start a private server: found neither mariadbd nor mysqld: " + remedy)
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	version, err := versionOf(ctx, program)
	if err != nil {
		return nil, fmt.Errorf("start a private server: %s --version: %w", program, err)
	}
	folder, err := throwaway.NewServerFolder()
	if err != nil {
		return nil, fmt.Errorf("start a private server: %w", err)
	}
	p := &private{folder: folder}
	s, err := p.start(ctx, program, strings.Contains(version, "MariaDB"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a private server with %s: %w", program, err), p.stop())
	}
	return s, nil
}

func (p *private) start(ctx context.Context, program string, mariadb bool) (*server, error) {
	socket, err := p.folder.Socket("s")
	if err != nil {
		return nil, err
	}
	data, err := p.folder.Mkdir("data")
	if err != nil {
		return nil, err
	}
	options := append([]string{"--no-defaults", "--datadir=" + data}, files...)
	if mariadb {
		options = append(options, mariadbOptions...)
	} else {
		initialize := append([]string{"--no-defaults", "--datadir=" + data, "--initialize-insecure"}, files...)
		if err := p.folder.Run(ctx, program, initialize...); err != nil {
			return nil, fmt.Errorf("initialize: %w", err)
		}
		options = append(options, mysqlOptions...)
	}
	options = append(options, common...)
	options = append(options, "--socket="+socket, "--pid-file="+filepath.Join(data, "pid"))
	// The server outlives the context of its start.
	if p.process, err = p.folder.Start(p.folder.Command(context.WithoutCancel(ctx), program, options...)); err != nil {
		return nil, err
	}
	config, err := parseDSN("mysql://root@/?" + url.Values{"socket": {socket}}.Encode())
	if err != nil {
		return nil, err
	}
	for {
		s, err := connect(ctx, config, p)
		if err == nil {
			if mariadb {
				err = installRoutines(ctx, s)
			}
			return s, err
		}
		select {
		case <-p.process.Done():
			return nil, fmt.Errorf("the server ended at once:\n%s", p.process.Log())
		case <-ctx.Done():
			return nil, fmt.Errorf("the server does not answer: %w: %w\n%s", ctx.Err(), err, p.process.Log())
		case <-time.After(5 * time.Millisecond): // when to ask again
		}
	}
}

// Without grant tables a MariaDB server starts from an empty folder, in a tenth
// of the time that mariadb-install-db takes. Its socket lies in a folder that
// only its user and root can enter.
var (
	common = []string{
		"--max-connections=300", // the laboratory's 64 workers have two or three each, and one each while they are replaced
		"--skip-networking", "--skip-log-bin", "--skip-name-resolve",
		"--innodb-buffer-pool-size=32M",
		"--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-flush-method=nosync", // what a power failure loses nobody misses
		"--innodb-stats-persistent=OFF", // its tables are among those that were not installed
		"--innodb-status-output-locks=ON",
		fmt.Sprintf("--innodb-lock-wait-timeout=%d", rowForever), fmt.Sprintf("--lock-wait-timeout=%d", forever),
		"--performance-schema=ON", // for metadata_locks alone: 20 ms at the start
		"--performance-schema-instrument=%=OFF", "--performance-schema-instrument=wait/lock/metadata/sql/mdl=ON",
		"--character-set-server=utf8mb4",
	}
	mariadbOptions = []string{"--skip-grant-tables", "--innodb-purge-rseg-truncate-frequency=1", "--innodb-log-file-size=16M"}
	mysqlOptions   = []string{"--mysqlx=OFF", "--innodb-redo-log-capacity=16M"}
	// files must be the same when MySQL initializes and when it runs.
	files = []string{"--innodb-data-file-path=ibdata1:12M:autoextend"}
)
