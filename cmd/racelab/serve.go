package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/racelab/racelab/internal/lab"
	"github.com/racelab/racelab/internal/stage"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

type serveFlags struct {
	engineFlags
	listen, window              string
	workers                     int
	workerTimeout, frontTimeout string
	json, verbose               bool
}

func serveCommand() *cobra.Command {
	f := serveFlags{}
	c := &cobra.Command{
		Use:   "serve",
		Short: "Open the laboratory: deposits over HTTP to real worker processes",
		Long: `Serves deposits to one account: a front, and worker processes behind it that take
one request at a time each, as gunicorn's sync workers do. Its endpoints are those
of racy-django (POST /demo/<name>/) and one for each strategy (POST /deposit/<name>).

Every flag can be given as an environment variable too: RACELAB_LISTEN,
RACELAB_WORKERS, RACELAB_DSN and so on. Flags win.

SIGINT or SIGTERM lets the requests that are in flight end, for as long as
--front-timeout at the most; a second one cuts them off.

Exit codes: 1 requests had not ended in that time; 2 usage; 4 the engine cannot be
reached, or the port is taken; 130 a second signal cut requests off.`,
		Example: `  racelab serve
  racelab serve --engine mysql --workers 8 --window 3s..10s
  racelab serve --listen localhost:80                   # where racy-django's own tool looks
  racelab serve --listen 127.0.0.1:0 --json             # any free port; one line says which`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := environment(c.Flags()); err != nil {
				return err
			}
			return serve(c, f)
		},
	}
	f.add(c.Flags())
	c.Flags().StringVar(&f.listen, "listen", "127.0.0.1:8080", "loopback address to listen on; port 0 takes any that is free")
	c.Flags().IntVar(&f.workers, "workers", 3, "worker processes, 1 to 64")
	c.Flags().StringVar(&f.window, "window", "2s..3s", "time between read and write; racy-django's is 3s..10s")
	c.Flags().StringVar(&f.workerTimeout, "worker-timeout", "30s", "how long a worker may take for a request; then it is killed, and the answer is 502")
	c.Flags().StringVar(&f.frontTimeout, "front-timeout", "60s", "how long a request may wait for its answer; then it is 504, and the request runs on")
	c.Flags().BoolVar(&f.json, "json", false, "print one line when ready, as JSON (racelab.serve/1)")
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "a line a request on stderr")
	return c
}

// environment sets the flags that were not given from RACELAB_<NAME>.
func environment(flags *pflag.FlagSet) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		name := "RACELAB_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := os.Getenv(name)
		switch {
		case value == "", f.Changed, f.Name == "help":
		case f.Name == "dsn": // read where every command reads it
		case f.Name == "dsn-file" && flags.Changed("dsn"):
		default:
			if bad := f.Value.Set(value); bad != nil && err == nil {
				err = usage("%s is %q: %w", name, value, bad)
			}
		}
	})
	return err
}

// config checks the flags.
func (f serveFlags) config() (lab.Config, error) {
	c := lab.Config{Listen: f.listen, Workers: f.workers, Log: slog.New(slog.DiscardHandler)}
	var err error
	if c.Engine, c.DSN, c.Level, err = f.resolve(""); err != nil {
		return c, err
	}
	if c.Window, err = stage.ParseSpan(f.window); err != nil {
		return c, usage("--window: %w", err)
	}
	for _, timeout := range []struct {
		flag, value string
		to          *time.Duration
	}{{"--worker-timeout", f.workerTimeout, &c.WorkerTimeout}, {"--front-timeout", f.frontTimeout, &c.FrontTimeout}} {
		if *timeout.to, err = stage.ParseDuration(timeout.value); err == nil && *timeout.to == 0 {
			err = errors.New("0 leaves no time for an answer")
		}
		if err != nil {
			return c, usage("%s: %w", timeout.flag, err)
		}
	}
	if err := c.Check(); err != nil {
		return c, usage("%w", err)
	}
	return c, nil
}

func serve(c *cobra.Command, f serveFlags) error {
	config, err := f.config()
	if err != nil {
		return err
	}
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelInfo
	}
	config.Log = slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
	err = lab.Run(c.Context(), config, func(l *lab.Lab) error {
		r := l.Ready()
		if f.json {
			return writeJSON(c.OutOrStdout(), r)
		}
		loses, holds := lab.Try(r.URL)
		_, err := fmt.Fprintf(c.OutOrStdout(), "racelab serves on %s: %s %s, %s\nloses    %s\nholds    %s\nCtrl-C ends it\n",
			r.URL, r.Product, r.Version, count(r.Workers, "worker"), loses, holds)
		return err
	})
	var taken lab.Taken
	switch {
	case err == nil:
		return nil
	case errors.As(err, &taken):
		return &exit{code: exitUnreachable, name: "port-taken", remedy: "listen elsewhere: `racelab serve --listen 127.0.0.1:0` takes any free port", err: err}
	case errors.Is(err, lab.ErrLate):
		return &exit{code: exitViolated, name: "requests-cut", remedy: "what became of them, only the ledger can say: --front-timeout is how long they get", err: fmt.Errorf("serve: %w", err)}
	case errors.Is(err, lab.ErrCut):
		return &exit{code: exitInterrupted, name: "interrupted", err: err}
	}
	return unreachable(fmt.Errorf("serve: %w", err))
}
