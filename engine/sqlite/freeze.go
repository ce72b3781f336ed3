package sqlite

import (
	"context"

	"github.com/racelab/racelab"
)

// Victims reports false: SQLite makes none.
func (w *world) Victims() bool { return false }

// Freeze has nothing to do: the connections that wait form a queue, of which
// the first is let go on.
func (w *world) Freeze(context.Context, []racelab.ConnID) error { return nil }
func (w *world) Thaw(...racelab.ConnID) error                   { return nil }
