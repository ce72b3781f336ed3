package lab

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/racelab/racelab/engine/sqlite"
	"github.com/racelab/racelab/internal/stage"
	"go.uber.org/goleak"
)

// The laboratory starts workers from its own executable, which here is the
// test's; and a laboratory that is to get signals is a process of its own.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "worker":
			end(WorkerMain())
		case "serve":
			end(serveForTest(os.Args[2:]))
		}
	}
	// The race detector lets every process sleep for a second before it ends.
	os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	goleak.VerifyTestMain(m)
}

func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serveForTest(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	window := flags.Duration("window", 0, "")
	patience := flags.Duration("front-timeout", 10*time.Minute, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c := testConfig()
	c.Window, c.FrontTimeout = stage.Span{Min: *window, Max: *window}, *patience
	return Run(context.Background(), c, func(l *Lab) error {
		return json.NewEncoder(os.Stdout).Encode(l.Ready())
	})
}

// testConfig is that of a laboratory whose time limits nobody notices.
func testConfig() Config {
	return Config{
		Listen: "127.0.0.1:0", Engine: sqlite.Engine, Workers: 1, Log: slog.New(slog.DiscardHandler),
		WorkerTimeout: 10 * time.Minute, FrontTimeout: 10 * time.Minute,
	}
}
