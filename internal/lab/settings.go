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
}

// workerClass is gunicorn's word for workers of one request at a time.
const workerClass = "sync"

func (l *Lab) current() settings {
	product := l.server.Product()
	return settings{
		Workers: l.pool.size(), Class: workerClass, Window: l.window().String(), Engine: l.config.Engine.Name, Level: l.level(),
		InFlight: l.pool.flying(), Pids: l.pool.pids(), Product: product.Name, Version: product.Version,
	}
}

func (l *Lab) settings(w http.ResponseWriter, _ *http.Request) { reply(w, l.current()) }

// A change is what may be posted to the settings; nil leaves as it is.
type change struct {
	Workers *int    `json:"workers"`
	Window  *string `json:"window"`
	Level   *string `json:"level"`
}

func (l *Lab) change(w http.ResponseWriter, r *http.Request) {
	l.changing.Lock()
	defer l.changing.Unlock()
	c, err := readChange(http.MaxBytesReader(w, r.Body, mostBody))
	if err != nil {
		fail(w, http.StatusBadRequest, "", err.Error())
		return
	}
	// Everything is looked at before anything is changed.
	window := l.window()
	if c.Window != nil {
		if window, err = stage.ParseSpan(*c.Window); err != nil {
			fail(w, http.StatusBadRequest, "", "window: "+err.Error())
			return
		}
	}
	if c.Workers != nil && (*c.Workers < 1 || *c.Workers > mostWorkers) {
		fail(w, http.StatusBadRequest, "", fmt.Sprintf("workers is %d: give a number from 1 to %d", *c.Workers, mostWorkers))
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), readyLimit)
	defer cancel()
	if c.Level != nil {
		if status, err := l.changeLevel(ctx, *c.Level); err != nil {
			fail(w, status, "", err.Error())
			return
		}
	}
	if c.Workers != nil {
		if err := l.pool.resize(ctx, *c.Workers); err != nil {
			fail(w, http.StatusServiceUnavailable, "", err.Error())
			return
		}
	}
	l.setWindow(window)
	l.settings(w, r)
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

// changeLevel opens the world at another level: with new workers, since theirs
// is that of their connections.
func (l *Lab) changeLevel(ctx context.Context, name string) (status int, err error) {
	level, err := racelab.ParseLevel(name)
	if err == nil {
		level, err = l.config.Engine.Dialect.Level(level)
	}
	if err != nil {
		return http.StatusBadRequest, err
	}
	if !l.pool.hold() {
		return http.StatusConflict, errors.New(busy)
	}
	defer l.pool.release()
	// The dialect knows what the engine has; this server may have less.
	probe, err := l.server.Open(ctx, racelab.Config{Level: level, Attach: l.world.Address()})
	if err != nil {
		return http.StatusBadRequest, err
	}
	if err := probe.Close(); err != nil {
		return http.StatusServiceUnavailable, err
	}
	l.setLevel(level)
	if err := l.pool.renew(ctx); err != nil {
		return http.StatusServiceUnavailable, err
	}
	return 0, nil
}
