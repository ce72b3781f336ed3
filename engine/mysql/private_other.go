//go:build !unix

package mysql

import (
	"context"
	"errors"

	"github.com/racelab/racelab"
)

type private struct{}

func (*private) stop() error { return nil }

func startPrivate(context.Context) (racelab.Server, error) {
	return nil, errors.New("start a private server: not available on this system: name a server with a mysql:// DSN")
}
