package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/racelab/racelab"
)

const blockedQuery = `SELECT pid FROM unnest($1::int[]) AS pid
	WHERE pg_blocking_pids(pid) <> '{}' OR pg_safe_snapshot_blocking_pids(pid) <> '{}'`

// Blocked keeps the order in which the connections were named.
func (w *world) Blocked(ctx context.Context, conns []racelab.ConnID) ([]racelab.ConnID, error) {
	if len(conns) == 0 {
		return nil, nil
	}
	pids, err := pidsOf(conns)
	if err != nil {
		return nil, err
	}
	rows, err := w.watcher.QueryContext(ctx, blockedQuery, pids)
	if err != nil {
		return nil, fmt.Errorf("ask who is blocked: %w", err)
	}
	defer rows.Close()
	var blocked []racelab.ConnID
	for rows.Next() {
		var pid int32
		if err := rows.Scan(&pid); err != nil {
			return nil, fmt.Errorf("ask who is blocked: %w", err)
		}
		blocked = append(blocked, connID(pid))
	}
	return blocked, rows.Err()
}

// A blocker counts as ours if it is a session of this database with our name:
// another process of the same run may own it.
//
// pg_locks is read after pg_blocking_pids. A wait that ended in between has no
// lock any more, and drops out of the join. Who waits for the workers of its own
// parallel query waits for what they wait for.
const waitsQuery = `
	SELECT w.pid, l.locktype, b.pid,
		coalesce(a.datname = current_database() AND a.application_name = $2, false),
		coalesce(nullif(a.application_name, ''), a.backend_type, 'a prepared transaction')
	FROM unnest($1::int[]) WITH ORDINALITY AS w (pid, n)
	CROSS JOIN LATERAL (
		SELECT DISTINCT unnest(pg_blocking_pids(w.pid) || pg_safe_snapshot_blocking_pids(w.pid))) AS b (pid)
	JOIN (
		SELECT coalesce(leader_pid, k.pid) AS pid, locktype FROM pg_locks k LEFT JOIN pg_stat_activity USING (pid) WHERE NOT granted
		UNION
		SELECT pid, 'snapshot' FROM pg_stat_activity WHERE wait_event = 'SafeSnapshot') AS l ON l.pid = w.pid
	LEFT JOIN pg_stat_activity a ON a.pid = b.pid
	ORDER BY w.n, b.pid`

func (w *world) Waits(ctx context.Context, conns []racelab.ConnID) ([]racelab.Wait, error) {
	pids, err := pidsOf(conns)
	if err != nil {
		return nil, err
	}
	rows, err := w.watcher.QueryContext(ctx, waitsQuery, pids, sessionName)
	if err != nil {
		return nil, fmt.Errorf("ask who waits for whom: %w", err)
	}
	defer rows.Close()
	var waits []racelab.Wait
	outside, held := map[racelab.ConnID]string{}, map[racelab.ConnID]bool{} // held by a connection that is not ours
	for rows.Next() {
		var pid, by int32
		var lock, name string
		var ours bool
		if err := rows.Scan(&pid, &lock, &by, &ours, &name); err != nil {
			return nil, fmt.Errorf("ask who waits for whom: %w", err)
		}
		conn := connID(pid)
		if len(waits) == 0 || waits[len(waits)-1].Conn != conn {
			waits = append(waits, racelab.Wait{Conn: conn, What: lockName(lock)})
		}
		if last := &waits[len(waits)-1]; ours || slices.Contains(conns, connID(by)) {
			if !slices.Contains(last.On, connID(by)) { // several workers may wait
				last.On = append(last.On, connID(by))
			}
		} else {
			held[conn] = held[conn] || by != 0 // a prepared transaction has no process
			outside[conn] = fmt.Sprintf("%s (server process %d), which is no session of this run, is in the way", name, by)
		}
	}
	for i := range waits {
		if len(waits[i].On) == 0 {
			waits[i].Outside, waits[i].Orphan = outside[waits[i].Conn], !held[waits[i].Conn]
		}
	}
	return waits, rows.Err()
}

// lockName says in our words what the locktype of pg_locks stands for. To wait
// for a row is to wait for the transaction that wrote it, or for one's turn to.
func lockName(locktype string) string {
	switch locktype {
	case "transactionid", "tuple", "spectoken":
		return "row"
	case "relation", "object":
		return "metadata"
	case "virtualxid":
		return "transaction"
	}
	return locktype // advisory, snapshot, extend, page
}

// A connection's name is its server process's number.
func connID(pid int32) racelab.ConnID { return racelab.ConnID(strconv.Itoa(int(pid))) }

func pidsOf(conns []racelab.ConnID) ([]int32, error) {
	pids := make([]int32, len(conns))
	for i, c := range conns {
		n, err := strconv.ParseInt(string(c), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%q is no connection of this engine", c)
		}
		pids[i] = int32(n)
	}
	return pids, nil
}
