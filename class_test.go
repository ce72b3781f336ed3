package racelab

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
)

func TestTheClassOfAnError(t *testing.T) {
	for _, test := range []struct {
		err  error
		want Class
	}{
		{nil, OK},
		{fmt.Errorf("take a seat: %w", ErrRefused), Refused},
		{fmt.Errorf("%w: %w", ErrExhausted, sql.ErrNoRows), Exhausted},
		{sql.ErrNoRows, NotFound},
		{context.DeadlineExceeded, Canceled},
		{ErrDropped, ConnectionLost},
		{Recovered("half done"), Panicked},
		{fmt.Errorf("call: %w", Recovered(3)), Panicked},
		{Recovered(ErrRefused), Panicked}, // it was not returned
		{errors.New("misuse: sync: unlock of unlocked mutex"), ""},
		{errors.New("panic: half done"), ""},
	} {
		if got := ClassOf(test.err); got != test.want {
			t.Errorf("%v is %q, want %q", test.err, got, test.want)
		}
	}
}
