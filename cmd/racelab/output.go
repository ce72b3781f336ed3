package main

import (
	"encoding/json"
	"io"
	"os"
)

// output is stdout. When it cannot be written any more, because who read it has
// gone or the disk is full, the command ends as at Ctrl-C, with its clean-up.
type output struct {
	file   *os.File
	broken func()
	err    error // the first
}

func (o *output) Write(b []byte) (int, error) {
	n, err := o.file.Write(b)
	if err != nil && o.err == nil {
		o.err = err
		o.broken()
	}
	return n, err
}

// Fd lets others ask what stdout is.
func (o *output) Fd() uintptr { return o.file.Fd() }

func writeJSON(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
