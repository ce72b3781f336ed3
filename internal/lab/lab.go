package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/control"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/internal/throwaway"
)

// A Config says what laboratory to open.
type Config struct {
	Listen        string // 127.0.0.1:8080; loopback only
	Engine        racelab.Engine
	DSN           string        // of a server to use; "": a private one. It may hold a password
	Level         racelab.Level // "": whatever suits the strategies
	Workers       int           // 1 to 64
	Window        stage.Span
	WorkerTimeout time.Duration // for a worker to answer; then it is killed
	FrontTimeout  time.Duration // for a request to be answered; it runs on
	Log           *slog.Logger  // a line a request at Info, what goes wrong above
}

// Check returns what is wrong with the configuration itself.
func (c Config) Check() error {
	if _, _, err := addresses(c.Listen); err != nil {
		return err
	}
	if c.Workers < 1 || c.Workers > mostWorkers {
		return fmt.Errorf("%d workers: give a number from 1 to %d", c.Workers, mostWorkers)
	}
	if c.WorkerTimeout <= 0 || c.FrontTimeout <= 0 {
		return errors.New("a timeout is above 0")
	}
	_, err := c.Engine.Dialect.Level(c.Level)
	return err
}

// A Lab is an open laboratory.
type Lab struct {
	config    Config
	server    racelab.Server
	world     racelab.World
	tape      *control.Tape
	pool      *pool
	listeners []net.Listener
	web       *http.Server
	serving   sync.WaitGroup
	undo      []func() error // what Close does at last, the newest first

	born   string       // unlike any other laboratory's
	resets atomic.Int64 // with born, by which a client knows the ledger it read before

	changing sync.Mutex // one change of the settings at a time
	windowIs atomic.Pointer[stage.Span]
	levelIs  atomic.Pointer[racelab.Level]
}

// Start opens a laboratory and returns when it serves. Nothing is left of one
// that could not be opened. ctx bounds the start only.
func Start(ctx context.Context, c Config) (_ *Lab, err error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	l := &Lab{config: c, born: rand.Text(), tape: control.NewTape(mostRecords)}
	l.setWindow(c.Window)
	l.setLevel(c.Level)
	defer func() {
		if err != nil {
			err = errors.Join(err, l.tidy())
		}
	}()
	if l.listeners, err = listen(c.Listen); err != nil {
		return nil, err
	}
	for _, listener := range l.listeners {
		l.undo = append(l.undo, func() error { return ignoreClosed(listener.Close()) })
	}
	if l.server, err = c.Engine.Start(ctx, c.DSN); err != nil {
		return nil, fmt.Errorf("open %s: %w", c.Engine.Name, err)
	}
	l.undo = append(l.undo, l.server.Close)
	l.world, err = l.server.Open(ctx, racelab.Config{
		Level: c.Level, Setup: exhibit().Setup(c.Engine.Dialect), State: exhibit().State,
	})
	if err != nil {
		return nil, fmt.Errorf("set up the laboratory's database: %w", err)
	}
	l.undo = append(l.undo, l.world.Close)
	folder, err := throwaway.NewFolder()
	if err != nil {
		return nil, err
	}
	l.undo = append(l.undo, folder.Remove)
	if err := l.employWorkers(ctx, folder); err != nil {
		return nil, err
	}
	l.serve()
	return l, nil
}

func (l *Lab) employWorkers(ctx context.Context, folder *throwaway.Folder) error {
	// A socket's name is never used twice: a killed worker leaves its own.
	if _, err := folder.Socket("worker-999999"); err != nil {
		return err
	}
	var started atomic.Int64
	l.pool = newPool(func(id racelab.SessionID, level racelab.Level) orders {
		socket, _ := folder.Socket("worker-" + strconv.FormatInt(started.Add(1), 10)) // its length was checked above
		return orders{Engine: l.config.Engine.Name, Address: l.world.Address(), Level: level, Session: id, Socket: socket}
	}, l.world, l.tape, l.config.WorkerTimeout, l.config.Log)
	l.undo = append(l.undo, func() error {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		l.pool.close(now) // nobody has been told the address: nothing is cut
		return nil
	})
	return l.pool.resize(ctx, l.config.Workers, l.config.Level)
}

func (l *Lab) serve() {
	mux := http.NewServeMux()
	mux.HandleFunc(demoPath+"{name}/{$}", l.demo)
	// Without its slash the reference redirects, and a redirected POST arrives as a GET.
	mux.HandleFunc(demoPath+"{name}", noSlash)
	mux.HandleFunc(depositPath+"{name}", l.deposit)
	mux.HandleFunc("GET /healthz", l.healthz)
	mux.HandleFunc("GET /api/accounts", l.accounts)
	mux.HandleFunc("GET /api/ledger", l.ledger)
	mux.HandleFunc("GET /api/history", l.history)
	mux.HandleFunc("POST /api/reset", l.reset)
	mux.HandleFunc("GET /api/settings", l.settings)
	mux.HandleFunc("POST /api/settings", l.change)
	mux.Handle("GET /static/", http.FileServerFS(static))
	mux.HandleFunc("GET /{$}", l.page)
	l.web = &http.Server{
		Handler: logged(l.config.Log, classed(guard(mux))),
		// What net/http would answer by itself has no class.
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            10 * time.Second,
		// From the header on; a request that waits for its worker needs as long as the front is patient.
		WriteTimeout:   l.config.FrontTimeout + bodyWait + 10*time.Second,
		IdleTimeout:    time.Minute,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       slog.NewLogLogger(l.config.Log.Handler(), slog.LevelDebug),
	}
	for _, listener := range l.listeners {
		l.serving.Go(func() {
			if err := l.web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				l.config.Log.Error("stopped listening", "address", listener.Addr(), "error", err)
			}
		})
	}
}

// Failed gives the reason if the laboratory cannot go on.
func (l *Lab) Failed() <-chan error { return l.pool.failed }

// Close stops listening, answers what is in flight until ctx ends, and cuts off
// the rest: so many requests. Nothing is left: no process, folder, socket or
// database.
func (l *Lab) Close(ctx context.Context) (cut int, err error) {
	var shut sync.WaitGroup
	shut.Go(func() { _ = l.web.Shutdown(ctx) }) // of connections that ctx cuts short, below
	cut = l.pool.close(ctx)
	shut.Wait()
	// Every request has its answer now; the clients get a moment to take it.
	last, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if l.web.Shutdown(last) != nil {
		_ = l.web.Close()
	}
	l.serving.Wait()
	return cut, l.tidy()
}

func (l *Lab) tidy() error {
	var errs []error
	for _, undo := range slices.Backward(l.undo) {
		errs = append(errs, undo())
	}
	l.undo = nil
	return errors.Join(errs...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// URL returns where the laboratory is.
func (l *Lab) URL() string {
	return "http://" + strings.TrimSuffix(l.listeners[0].Addr().String(), ":80")
}

// Ready is racelab.serve/1.
type Ready struct {
	Schema  string `json:"schema"`
	URL     string `json:"url"`
	Engine  string `json:"engine"`
	Product string `json:"product"`
	Version string `json:"engine_version"`
	Workers int    `json:"workers"`
	Class   string `json:"class"`
	Pids    []int  `json:"worker_pids"`
	Pid     int    `json:"pid"`

	Level  racelab.Level `json:"level"`
	Window string        `json:"window"`
}

// Ready describes the laboratory.
func (l *Lab) Ready() Ready {
	s := l.current()
	return Ready{"racelab.serve/1", l.URL(), s.Engine, s.Product, s.Version, s.Workers, s.Class, s.Pids, os.Getpid(), s.Level, s.Window}
}

func (l *Lab) window() stage.Span           { return *l.windowIs.Load() }
func (l *Lab) setWindow(s stage.Span)       { l.windowIs.Store(&s) }
func (l *Lab) asked() racelab.Level         { return *l.levelIs.Load() }
func (l *Lab) setLevel(level racelab.Level) { l.levelIs.Store(&level) }
