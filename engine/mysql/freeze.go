package mysql

import (
	"context"

	"github.com/racelab/racelab"
)

// Victims reports false: InnoDB chooses by weight.
func (w *world) Victims() bool { return false }

// Freeze has nothing to do: whoever frees a lock grants it to the first of its
// queue, and with it the row.
func (w *world) Freeze(context.Context, []racelab.ConnID) error { return nil }
func (w *world) Thaw(...racelab.ConnID) error                   { return nil }
