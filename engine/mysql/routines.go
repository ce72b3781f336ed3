package mysql

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// installRoutines makes the one system table that a scenario can miss on a
// MariaDB server without any: where procedures and functions are kept. Its
// definition belongs to the server's version, so it is the one that was
// installed beside the server. Without that file there are no procedures, and
// the server says so.
func installRoutines(ctx context.Context, s *server) error {
	admin, err := s.admin("")
	if err != nil {
		return err
	}
	defer admin.Close()
	var charsets string
	if err := admin.QueryRowContext(ctx, "SELECT @@GLOBAL.character_sets_dir").Scan(&charsets); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Clean(charsets)), "mysql_system_tables.sql"))
	if err != nil {
		return nil
	}
	_, definition, found := strings.Cut(string(text), "\nCREATE TABLE IF NOT EXISTS proc (")
	if !found {
		return nil
	}
	definition, _, _ = strings.Cut(definition, "\n") // one statement a line
	_, err = admin.ExecContext(ctx, "CREATE DATABASE mysql; USE mysql; CREATE TABLE proc ("+definition)
	if err != nil {
		return fmt.Errorf("make the table of stored procedures: %w", err)
	}
	return nil
}
