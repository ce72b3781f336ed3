package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/control"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/internal/stage"
)

// Orders are what a worker is told on its standard input: one JSON document,
// after which the input stays open for as long as the worker is to live.
type orders struct {
	Engine  string            `json:"engine"`
	Address string            `json:"address"` // of the world; it may hold a password
	Level   racelab.Level     `json:"level"`
	Session racelab.SessionID `json:"session"`
	Socket  string            `json:"socket"`
}

// A greeting is a worker's first line to the front; each one after it is a
// control.Record.
type greeting struct {
	Error string `json:"error,omitempty"` // why it cannot serve; "" if it does
}

// A worker serves the endpoints in a process of its own.
type worker struct {
	world    racelab.World
	recorder *control.Recorder
	session  *stage.Session
	role     string

	one sync.Mutex // one request at a time

	mu      sync.Mutex
	out     io.Writer
	records int
	request string // the current one's name
}

// WorkerMain is the hidden command: the whole life of a worker process. The
// front has passed its end of the records' pipe as the first extra file.
//
// Signals are for the front, which lets requests end; systemd, for one, sends
// them to all processes of a service.
func WorkerMain() error {
	signal.Ignore(os.Interrupt, syscall.SIGTERM)
	out := os.NewFile(3, "records")
	if out == nil {
		return errors.New("a worker is started by `racelab serve`")
	}
	return work(context.Background(), os.Stdin, out)
}

// work serves until in or ctx ends.
func work(ctx context.Context, in io.Reader, out io.Writer) error {
	var o orders
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		return fmt.Errorf("a worker is started by `racelab serve`: read the orders: %w", err)
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	go func() { // it ends with in, which is the process's end
		_, _ = io.Copy(io.Discard, in)
		end()
	}()
	err := serveOrders(ctx, o, out)
	if err != nil {
		b, _ := json.Marshal(greeting{Error: err.Error()})
		_, _ = out.Write(append(b, '\n'))
	}
	return err
}

func serveOrders(ctx context.Context, o orders, out io.Writer) (err error) {
	engine, err := dsn.Named(o.Engine)
	if err != nil {
		return err
	}
	server, err := engine.Start(ctx, o.Address)
	if err != nil {
		return fmt.Errorf("open %s: %w", engine.Name, err)
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	world, err := server.Open(ctx, racelab.Config{
		// No limit to a wait but the worker's own.
		Level: o.Level, State: exhibit().State, Attach: o.Address,
	})
	if err != nil {
		return fmt.Errorf("open the laboratory's database: %w", err)
	}
	defer func() { err = errors.Join(err, world.Close()) }()

	w := &worker{world: world, role: exhibit().Cast[0].Name, out: out}
	w.recorder = control.NewRecorder(w.record)
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	w.session = stage.NewSession(o.Session, engine, world, new(stage.Process), w.recorder, random)
	defer func() { err = errors.Join(err, w.session.Close()) }()

	listener, err := net.Listen("unix", o.Socket)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	b, err := json.Marshal(greeting{})
	if err != nil {
		return err
	}
	if _, err := out.Write(append(b, '\n')); err != nil {
		return err
	}
	return w.serve(ctx, listener)
}

// serve ends with ctx, and so does a call that runs then.
func (w *worker) serve(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc(demoPath, w.answer(w.demo))
	mux.HandleFunc(depositPath, w.answer(w.deposit))
	server := http.Server{
		Handler: mux, ReadHeaderTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan error)
	go func() {
		<-ctx.Done()
		limit, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		stopped <- server.Shutdown(limit)
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return <-stopped
}

// answer gives the worker to one request at a time, and says with the answer
// how many records there are, so that the front can wait for the last of them.
func (w *worker) answer(handler http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		w.one.Lock()
		defer w.one.Unlock()
		handler(counted{rw, w}, r)
	}
}

// counted writes the count of records with the header: they are all made by
// then, since an answer follows its call.
type counted struct {
	http.ResponseWriter
	w *worker
}

func (c counted) WriteHeader(status int) {
	c.w.mu.Lock()
	c.Header().Set(recordsHeader, strconv.Itoa(c.w.records))
	c.w.mu.Unlock()
	c.ResponseWriter.WriteHeader(status)
}

func (c counted) Write(b []byte) (int, error) {
	if c.Header().Get(recordsHeader) == "" {
		c.WriteHeader(http.StatusOK)
	}
	return c.ResponseWriter.Write(b)
}

// pay runs the strategy that the front has chosen.
func (w *worker) pay(r *http.Request, p paying, window string) (racelab.Result, error) {
	st, ok := exhibit().Strategy(r.Header.Get(strategyHeader))
	if !ok {
		return racelab.Result{Class: racelab.Other}, fmt.Errorf("the front asks for strategy %q", r.Header.Get(strategyHeader))
	}
	span, err := stage.ParseSpan(window)
	if err != nil {
		return racelab.Result{Class: racelab.Other}, fmt.Errorf("the front's window: %w", err)
	}
	args := racelab.Args{"account": p.account, "amount": p.amount}
	name := r.Header.Get(requestHeader)
	if name != "" {
		args["request"] = name
	}
	w.mu.Lock()
	w.request = name
	w.mu.Unlock()

	// Waits are looked for only while somebody could wait: an idle worker costs nothing.
	watching, stop := context.WithCancel(r.Context())
	var watcher sync.WaitGroup
	watcher.Go(func() { w.recorder.Watch(watching, w.world) })
	defer watcher.Wait()
	defer stop()
	result, err := w.session.Call(r.Context(), st, w.role, args, span)
	if err != nil && result.Class == "" {
		result.Class = racelab.Other
	}
	return result, err
}

// record sends a record to the front. A call's first one carries the request's
// name.
func (w *worker) record(r control.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.Event.Kind == racelab.Called && w.request != "" {
		r.Event.Op.Args = []any{w.request}
	}
	b, err := json.Marshal(r)
	if err != nil {
		return // a value that JSON cannot say, such as NaN: the event is missing from the picture
	}
	if _, err := w.out.Write(append(b, '\n')); err == nil {
		w.records++
	}
}
