package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/racelab/racelab"
)

// A glance is what one message says of who waits.
type glance struct {
	innodb    status
	processes []process
}

// look asks in one message, which takes about two round trips' time.
func look(ctx context.Context, c *sql.Conn) (g glance, err error) {
	rows, err := c.QueryContext(ctx, "SHOW ENGINE INNODB STATUS; SHOW FULL PROCESSLIST")
	if err != nil {
		return g, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var engine, name, text string
	if !rows.Next() {
		return g, errors.Join(errors.New("no InnoDB status"), rows.Err())
	}
	if err := rows.Scan(&engine, &name, &text); err != nil {
		return g, err
	}
	if g.innodb, err = parseStatus(text); err != nil {
		return g, err
	}
	if !rows.NextResultSet() {
		return g, errors.Join(errors.New("no process list"), rows.Err())
	}
	g.processes, err = scanProcesses(rows)
	return g, err
}

// what returns what kind of lock the connection waits for, "" if none.
func (g glance) what(id uint64) string {
	if g.innodb.waits(id) {
		return "row"
	}
	for _, p := range g.processes {
		if p.id == id {
			return p.waitsFor()
		}
	}
	return ""
}

func (w *world) Blocked(ctx context.Context, conns []racelab.ConnID) ([]racelab.ConnID, error) {
	c, err := w.admin.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask who waits: %w", err)
	}
	defer c.Close()
	g, err := look(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("ask who waits: %w", err)
	}
	var blocked []racelab.ConnID
	var locks edges
	for _, name := range conns {
		id, err := strconv.ParseUint(string(name), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("ask who waits: %q is no connection of this engine", name)
		}
		switch g.what(id) {
		case "":
			continue
		case "advisory":
			// The process list names this state also while a lock that is free
			// is being taken, and for a moment after it was freed.
			if locks == nil {
				if locks, err = w.lockHolders(ctx, c, g.processes); err != nil {
					return nil, fmt.Errorf("ask who waits: %w", err)
				}
			}
			if len(locks[id]) == 0 {
				continue
			}
		}
		blocked = append(blocked, name)
	}
	return blocked, nil
}

func (w *world) Waits(ctx context.Context, conns []racelab.ConnID) ([]racelab.Wait, error) {
	c, err := w.admin.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask who waits for whom: %w", err)
	}
	defer c.Close()
	waits, err := w.waits(ctx, c, conns)
	if err != nil {
		// What it asked may have left a transaction open.
		_ = c.Raw(discard)
		return nil, fmt.Errorf("ask who waits for whom: %w", err)
	}
	return waits, nil
}

// waits puts together what the server says in several places at slightly
// different moments: a wait that one place has and the other has not has just
// begun or ended, so it asks again.
func (w *world) waits(ctx context.Context, c *sql.Conn, conns []racelab.ConnID) ([]racelab.Wait, error) {
	const tries = 10
	for try := 1; ; try++ {
		g, err := look(ctx, c)
		if err != nil {
			return nil, err
		}
		waits, agree, err := w.explain(ctx, c, g, conns)
		if err != nil || agree || try == tries {
			return waits, err
		}
	}
}

func (w *world) explain(ctx context.Context, c *sql.Conn, g glance, conns []racelab.ConnID) (waits []racelab.Wait, agree bool, err error) {
	agree = true
	var rows, locks edges
	for _, name := range conns {
		id, err := strconv.ParseUint(string(name), 10, 64)
		if err != nil {
			return nil, false, fmt.Errorf("%q is no connection of this engine", name)
		}
		what := g.what(id)
		var on []uint64
		switch what {
		case "":
			continue
		case "row":
			if rows == nil {
				rows, err = w.rowHolders(ctx, c, g.innodb)
			}
			on = rows[id]
		default:
			if locks == nil {
				locks, err = w.lockHolders(ctx, c, g.processes)
			}
			on = locks[id]
		}
		if err != nil {
			return nil, false, err
		}
		wait := racelab.Wait{Conn: name, What: what}
		if wait.On, err = w.ours(ctx, c, on); err != nil {
			return nil, false, err
		}
		switch {
		case len(wait.On) > 0:
		case len(on) > 0:
			wait.Outside = fmt.Sprintf("connection %d, which is none of this run, holds the %s lock", slices.Min(on), what)
		default:
			agree = false
			wait.Outside = fmt.Sprintf("the server does not say who holds the %s lock", what)
			if what == "metadata" {
				wait.Outside += " (it does with performance_schema=ON and the instrument wait/lock/metadata/sql/mdl)"
			}
		}
		waits = append(waits, wait)
	}
	return waits, agree, nil
}

// ours picks those connections that a process of this run has entered.
func (w *world) ours(ctx context.Context, c *sql.Conn, ids []uint64) ([]racelab.ConnID, error) {
	slices.Sort(ids)
	var on, unsure []uint64
	w.mu.Lock()
	for _, id := range ids {
		known := false
		for c := range w.conns {
			known = known || c.id == id
		}
		if known {
			on = append(on, id)
		} else {
			unsure = append(unsure, id)
		}
	}
	w.mu.Unlock()
	for _, id := range unsure {
		var n int
		if err := c.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+roll+" WHERE id = "+strconv.FormatUint(id, 10)).Scan(&n); err != nil {
			return nil, err
		}
		if n > 0 {
			on = append(on, id)
		}
	}
	slices.Sort(on)
	var names []racelab.ConnID
	for _, id := range on {
		names = append(names, connID(id))
	}
	return names, nil
}
