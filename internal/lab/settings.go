package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
)

const mostWorkers = 64

func (l *Lab) healthz(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]string{"status": "ok"})
}

// Settings are the laboratory's knobs, and what it is at the moment.
type settings struct {
	Workers  int           `json:"workers"`
	Class    string        `json:"class"`
	Window   string        `json:"window"`
	Engine   string        `json:"engine"`
	Level    racelab.Level `json:"level"`
	InFlight int           `json:"in_flight"`
	Pids     []int         `json:"worker_pids"`
	Product  string        `json:"product"`
	Version  string        `json:"engine_version"`
	Epoch    string        `json:"epoch"` // another one in every laboratory and after every reset
}

// workerClass is gunicorn's word for workers of one request at a time.
const workerClass = "sync"

func (l *Lab) current() settings {
	product := l.server.Product()
	return settings{
		Workers: l.pool.size(), Class: workerClass, Window: l.window().String(), Engine: l.config.Engine.Name, Level: l.level(),
		InFlight: l.pool.flying(), Pids: l.pool.pids(), Product: product.Name, Version: product.Version, Epoch: fmt.Sprintf("%s-%d", l.born, l.resets.Load()),
	}
}

// settings answers with them, also to what has changed them or made a reset.
func (l *Lab) settings(w http.ResponseWriter, _ *http.Request) { reply(w, l.current()) }

// A change is what may be posted to the settings; nil leaves as it is.
type change struct {
	Workers *int    `json:"workers"`
	Window  *string `json:"window"`
	Level   *string `json:"level"`
}

// change looks at everything before it changes anything. What can fail then is
// the workers' start, and if it does all is as it was.
func (l *Lab) change(w http.ResponseWriter, r *http.Request) {
	c, err := readChange(http.MaxBytesReader(w, r.Body, mostBody))
	if err != nil {
		fail(w, http.StatusBadRequest, badRequest, err.Error())
		return
	}
	l.changing.Lock()
	defer l.changing.Unlock()
	to := knobs{l.pool.size(), l.window(), l.asked()}
	if err := c.apply(&to, l.config.Engine.Dialect); err != nil {
		fail(w, http.StatusBadRequest, badRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), readyLimit)
	defer cancel()
	if to.level != l.asked() {
		if !l.pool.hold() {
			fail(w, http.StatusConflict, racelab.Refused, busy)
			return
		}
		defer l.pool.release()
		if err := l.probe(ctx, to.level); err != nil {
			fail(w, http.StatusBadRequest, badRequest, err.Error())
			return
		}
	}
	if err := l.pool.resize(ctx, to.workers, to.level); err != nil {
		fail(w, http.StatusServiceUnavailable, racelab.Other, err.Error())
		return
	}
	l.setLevel(to.level)
	l.setWindow(to.window)
	l.settings(w, r)
}

// Knobs are what of the settings can be changed.
type knobs struct {
	workers int
	window  stage.Span
	level   racelab.Level // "": whatever suits the strategies
}

// apply turns those that are to be turned.
func (c change) apply(to *knobs, d racelab.Dialect) (err error) {
	if c.Workers != nil {
		to.workers = *c.Workers
		if to.workers < 1 || to.workers > mostWorkers {
			return fmt.Errorf("workers is %d: give a number from 1 to %d", to.workers, mostWorkers)
		}
	}
	if c.Window != nil {
		if to.window, err = stage.ParseSpan(*c.Window); err != nil {
			return fmt.Errorf("window: %w", err)
		}
	}
	if c.Level != nil {
		if to.level, err = racelab.ParseLevel(*c.Level); err == nil {
			to.level, err = d.Level(to.level)
		}
	}
	return err
}

// probe opens the world at a level: the dialect knows what the engine has, and
// this server may have less.
func (l *Lab) probe(ctx context.Context, level racelab.Level) error {
	world, err := l.server.Open(ctx, racelab.Config{Level: level, Attach: l.world.Address()})
	if err != nil {
		return err
	}
	return world.Close()
}

func readChange(body io.Reader) (c change, err error) {
	b, err := io.ReadAll(body)
	if err != nil {
		return c, fmt.Errorf("read the settings: %w", err)
	}
	var names map[string]json.RawMessage
	if err := json.Unmarshal(b, &names); err != nil {
		return c, errors.New(`the settings are a JSON object, such as {"workers":8,"window":"300ms..1s"}`)
	}
	for name := range names {
		if !slices.Contains([]string{"workers", "window", "level"}, name) {
			return c, fmt.Errorf("%q cannot be changed: workers, window and level can", name)
		}
	}
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&c); err != nil {
		return c, fmt.Errorf("read the settings: %w", err)
	}
	return c, nil
}
