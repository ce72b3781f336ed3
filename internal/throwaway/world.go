//go:build unix

package throwaway

import (
	"context"

	"github.com/racelab/racelab"
)

// World has the errors of a world that the server opened, and why it could not
// open it, say so when the server has ended. A nil Process is a server that is
// not ours.
func (p *Process) World(w racelab.World, err error) (racelab.World, error) {
	if p == nil || err != nil {
		return w, p.Explain(err)
	}
	return world{w, p}, nil
}

type world struct {
	racelab.World
	process *Process
}

func (w world) Connect(ctx context.Context) (racelab.Conn, error) {
	c, err := w.World.Connect(ctx)
	return c, w.process.Explain(err)
}

func (w world) Blocked(ctx context.Context, conns []racelab.ConnID) ([]racelab.ConnID, error) {
	blocked, err := w.World.Blocked(ctx, conns)
	return blocked, w.process.Explain(err)
}

func (w world) Waits(ctx context.Context, conns []racelab.ConnID) ([]racelab.Wait, error) {
	waits, err := w.World.Waits(ctx, conns)
	return waits, w.process.Explain(err)
}

func (w world) End(ctx context.Context, conns []racelab.ConnID) error {
	return w.process.Explain(w.World.End(ctx, conns))
}

func (w world) Freeze(ctx context.Context, conns []racelab.ConnID) error {
	return w.process.Explain(w.World.Freeze(ctx, conns))
}

func (w world) Thaw(conns ...racelab.ConnID) error {
	return w.process.Explain(w.World.Thaw(conns...))
}

func (w world) Schema(ctx context.Context) (racelab.Schema, error) {
	schema, err := w.World.Schema(ctx)
	return schema, w.process.Explain(err)
}

func (w world) State(ctx context.Context) (racelab.State, error) {
	state, err := w.World.State(ctx)
	return state, w.process.Explain(err)
}

func (w world) Reset(ctx context.Context) error { return w.process.Explain(w.World.Reset(ctx)) }

func (w world) Close() error { return w.process.Explain(w.World.Close()) }
