package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// readFile reads an ordinary file: a device or a pipe may have no end.
func readFile(path string) ([]byte, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no ordinary file", path)
	}
	return os.ReadFile(path)
}

// replaceable says before the work why its result could not be written.
func replaceable(path string) error {
	path, _, err := destination(path)
	if err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	next.Close()
	return os.Remove(next.Name())
}

// replaceFile replaces a file as a whole: a broken write leaves the old one.
func replaceFile(path string, text []byte) error {
	path, mode, err := destination(path)
	if err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = next.Write(text)
	if err == nil {
		err = next.Chmod(mode)
	}
	if closed := next.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(next.Name(), path)
	}
	if err != nil {
		os.Remove(next.Name())
	}
	return err
}

// destination is where a file is or would be, and its mode. What is no ordinary file
// is not replaced: it may be a device.
func destination(path string) (string, fs.FileMode, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	info, err := os.Lstat(path)
	switch {
	case os.IsNotExist(err):
		return path, 0o644, nil
	case err != nil:
		return path, 0, err
	case !info.Mode().IsRegular():
		return path, 0, fmt.Errorf("%s is no ordinary file", path)
	}
	return path, info.Mode().Perm(), nil
}
