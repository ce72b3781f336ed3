package isolation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/spec"
	"github.com/racelab/racelab/internal/sqltext"
)

// A renewal brings the tables of a test back to what its set-up made, without
// dropping and making them: the server takes three times as long for that as for
// the steps of most tests. It is for tests of which everything is known that
// matters here: a set-up that makes tables and fills them, a teardown that drops
// them, and statements in between that read and write rows (renewalOf).
//
// The rows are deleted and written again. Nothing that a test can print may tell
// such tables from new ones, so
//
//   - dead rows stay where they are: a snapshot that is held open keeps every page
//     from being pruned. New rows follow them in the order in which they come, as
//     in a new table, and a scan finds them in it.
//   - each table and each index keeps to its one page, to which serializable
//     transactions lock and the planner estimates it. If it has not, what the
//     permutation printed is forgotten, and it runs again in new tables. The same
//     if somebody has counted the rows meanwhile, as autovacuum does.
//   - nobody may hold a lock on them, which DROP TABLE would wait for.
type renewal struct {
	tables   []string // as they are written in the set-up, in its order
	fill     []string // the set-up's statements that write rows
	counters bool     // tables have sequences
	since    int      // how often tables were brought back since they were made
	message  string   // brings back those that were made last; it begins with crowded
	crowded  string   // asks whether any of them has more than its page, or was counted
}

// renewalOf returns nil if a test may do more than a renewal can undo.
func renewalOf(s *spec.Spec) *renewal {
	if n := len(s.Permutations); n == 1 || n == 2 {
		return nil // it would not pay
	}
	var n renewal
	for _, text := range s.Setups {
		for _, statement := range sqltext.Statements(text) {
			if !n.prepares(statement) {
				return nil
			}
		}
	}
	if len(n.tables) == 0 || s.Teardown == nil || !n.dropped(*s.Teardown) {
		return nil
	}
	for _, session := range s.Sessions {
		if session.Setup != nil && !ordinary(*session.Setup, true) || session.Teardown != nil && !ordinary(*session.Teardown, false) {
			return nil
		}
		for _, step := range session.Steps {
			if !ordinary(step.SQL, false) {
				return nil
			}
		}
	}
	return &n
}

// prepares takes a statement of the set-up.
func (n *renewal) prepares(statement string) bool {
	words := sqltext.Words(statement)
	if !known(statement, words) {
		return false
	}
	is := func(keywords ...string) bool {
		return len(words) > len(keywords) && slices.EqualFunc(words[:len(keywords)], keywords, sqltext.Token.Is)
	}
	switch {
	case is("CREATE", "TABLE") && len(words) > 3 && words[3].Text == "(":
		n.tables = append(n.tables, words[2].Text)
		for _, w := range words {
			n.counters = n.counters || w.Is("serial") || w.Is("bigserial") || w.Is("smallserial") || w.Is("IDENTITY")
			if w.Is("USING") || w.Is("PARTITION") || w.Is("INHERITS") {
				return false
			}
		}
		return true
	case is("CREATE", "INDEX"), is("CREATE", "UNIQUE", "INDEX"):
		return !slices.ContainsFunc(words, func(w sqltext.Token) bool { return w.Is("USING") })
	case is("INSERT"), is("UPDATE"), is("DELETE"):
		n.fill = append(n.fill, statement)
		return !slices.ContainsFunc(words, func(w sqltext.Token) bool { return w.Is("RETURNING") }) // which would be printed each time
	}
	return false
}

// dropped reports whether a teardown drops the tables, all of them, and does
// nothing else.
func (n *renewal) dropped(teardown string) bool {
	var gone []string
	for _, statement := range sqltext.Statements(teardown) {
		words := sqltext.Words(statement)
		if len(words) < 3 || !words[0].Is("DROP") || !words[1].Is("TABLE") {
			return false
		}
		for i, w := range words[2:] {
			switch {
			case i%2 == 0 && (w.Kind == sqltext.Word || w.Kind == sqltext.Name):
				gone = append(gone, w.Text)
			case i%2 == 0 || w.Text != ",":
				return false
			}
		}
	}
	return slices.Equal(slices.Sorted(slices.Values(gone)), slices.Sorted(slices.Values(n.tables)))
}

// opening begins a statement that reads or writes rows, or is about transactions.
var opening = []string{
	"SELECT", "VALUES", "INSERT", "UPDATE", "DELETE", "MERGE",
	"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "LOCK", "SET",
}

// ordinary reports whether what a session is sent does nothing but read and
// write rows, and leaves nothing behind in the session: but for settings, if that
// is what every permutation begins with.
func ordinary(text string, first bool) bool {
	for _, statement := range sqltext.Statements(text) {
		words := sqltext.Words(statement)
		second := func(keywords ...string) bool {
			return len(words) > 1 && slices.ContainsFunc(keywords, words[1].Is)
		}
		switch {
		case !known(statement, words), !slices.ContainsFunc(opening, words[0].Is), second("PREPARED"):
			return false
		case words[0].Is("SET") && !first && !second("LOCAL", "TRANSACTION", "CONSTRAINTS"):
			return false
		case words[0].Is("SELECT") && slices.ContainsFunc(words, func(w sqltext.Token) bool { return w.Is("INTO") }):
			return false
		}
	}
	return true
}

// begins reports whether a text opens a transaction and does nothing in it: it
// neither sees nor changes what another session does.
func begins(text string) bool {
	statements := sqltext.Statements(text)
	return len(statements) == 1 && slices.ContainsFunc([]string{"BEGIN", "START"}, sqltext.Words(statements[0])[0].Is)
}

// called are what may stand before a parenthesis: functions that neither leave
// anything behind nor tell anything but values, and keywords.
var called = strings.Fields(`count sum min max avg coalesce length lower upper abs greatest least nullif mod round repeat
	pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared
	values in exists and or not as on using from where select returning conflict cast any all set when then else key check unique
	varchar char character numeric decimal`)

// telling are the words that tell a new table from an old one, or the time.
var telling = strings.Fields(`ctid xmin xmax cmin cmax tableoid oid regclass information_schema
	temp temporary unlogged concurrently
	current_timestamp current_time current_date localtimestamp localtime timestamp timestamptz time timetz date`)

// known reports whether a statement holds nothing but what is known to be of no
// matter. What is read here as it is not meant (backslashes, dollars, comments in
// comments) is not.
func known(statement string, words []sqltext.Token) bool {
	if strings.ContainsAny(statement, `\$`) || strings.Contains(statement, "/*") {
		return false
	}
	for i, w := range words {
		if w.Kind != sqltext.Word && w.Kind != sqltext.Name {
			continue
		}
		name := strings.ToLower(w.Inside())
		calls := i+1 < len(words) && words[i+1].Text == "("
		may := slices.Contains(called, name)
		names := i > 0 && slices.ContainsFunc([]string{"INTO", "TABLE", "ON", "REFERENCES"}, words[i-1].Is)
		switch {
		case slices.Contains(telling, name),
			strings.HasPrefix(name, "pg_") && !(calls && may),
			calls && !may && !names:
			return false
		}
	}
	return true
}

// left is a permutation whose tables are still there.
type left struct {
	by      spec.Permutation
	renewed bool // the tables were not made for it
}

// hold opens a snapshot, or no tables are renewed.
func (r *run) hold(ctx context.Context) {
	c, err := r.world.Connect(ctx)
	if err != nil {
		r.renewal = nil // as all else is, one connection more may be too many
		return
	}
	r.snapshot = c
	if err := c.Text(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1", func(racelab.Answer) {}); err != nil {
		r.renewal = nil
	}
}

// made learns what is needed to renew tables that have just been made, or gives
// that up: other products know no such thing.
func (r *run) made(ctx context.Context) error {
	if r.renewal != nil && r.renewal.learn(ctx, r.control) != nil {
		r.renewal = nil
	}
	return ctx.Err()
}

// learn asks for the files of the tables that are there.
func (n *renewal) learn(ctx context.Context, c racelab.Conn) (err error) {
	var oids []string
	for _, t := range n.tables {
		oids = append(oids, "'"+strings.ReplaceAll(t, "'", "''")+"'::regclass")
	}
	tables := strings.Join(oids, ", ")
	if n.crowded, err = value(ctx, c, fmt.Sprintf(`
		WITH heap AS (
			SELECT oid FROM pg_class WHERE oid IN (%[1]s)
			UNION SELECT reltoastrelid FROM pg_class WHERE oid IN (%[1]s) AND reltoastrelid <> 0
		), file AS (
			SELECT oid, 1 AS pages FROM heap
			UNION SELECT indexrelid, 2 FROM pg_index WHERE indrelid IN (SELECT oid FROM heap) -- the first is about the index
		)
		SELECT format('SELECT %%s OR %%s <> (SELECT sum(reltuples) FROM pg_class WHERE oid IN (%%s))',
			string_agg(format('pg_relation_size(%%s) > %%s', oid, pages * current_setting('block_size')::int), ' OR '),
			(SELECT sum(reltuples) FROM pg_class WHERE oid IN (SELECT oid FROM heap)),
			(SELECT string_agg(oid::text, ', ') FROM heap)) FROM file`,
		tables)); err != nil {
		return err
	}
	texts := []string{n.crowded}
	for _, t := range slices.Backward(n.tables) { // the last may refer to the first
		texts = append(texts, "DELETE FROM "+t)
	}
	if n.counters {
		texts = append(texts, fmt.Sprintf(`SELECT setval(seqrelid, seqstart, false) FROM pg_sequence JOIN pg_depend ON objid = seqrelid
			WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND refobjid IN (%s)`, tables))
	}
	// Prepared, they take half the time.
	prepare := "DEALLOCATE ALL"
	var execute []string
	for i, text := range append(texts, n.fill...) {
		prepare += fmt.Sprintf("; PREPARE renew%d AS %s", i, text)
		execute = append(execute, fmt.Sprintf("EXECUTE renew%d", i))
	}
	if err := c.Text(ctx, prepare, func(racelab.Answer) {}); err != nil {
		return err
	}
	n.crowded = execute[0]
	n.message = strings.Join(slices.Insert(execute, 1, "LOCK TABLE "+strings.Join(n.tables, ", ")+" IN ACCESS EXCLUSIVE MODE NOWAIT"), "; ")
	n.since = 0
	return nil
}

// renew brings back the tables that the last permutation has left, and reports
// whether they are there. If not, or if no permutation is to come, it drops them.
func (r *run) renew(ctx context.Context, last bool) (bool, error) {
	for r.left != nil {
		full, renewed, err := r.reuse(ctx, last)
		if renewed || err != nil {
			return renewed, err
		}
		again := r.left.by
		if r.left = nil; full {
			r.held.forget()
		}
		if err := r.goOn(ctx, r.drop(ctx), r.drop); err != nil {
			return false, err
		}
		if full {
			if err := r.play(ctx, again, false); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// reuse brings the tables back if that can be done. Full are those in which what
// was printed does not count.
func (r *run) reuse(ctx context.Context, last bool) (full, renewed bool, err error) {
	n := r.renewal
	if n == nil || last && !r.left.renewed {
		return false, false, nil
	}
	ask := n.message
	if last {
		ask = n.crowded
	} else {
		r.sendAhead(ctx)
	}
	crowded, err := value(ctx, r.control, ask)
	switch {
	case ctx.Err() != nil:
		return false, false, ctx.Err()
	case crowded == "t":
		if n.since < 2 { // what the test itself writes is too much for it to pay
			r.renewal = nil
		}
		return r.left.renewed, false, nil
	case err != nil: // somebody has a lock
		r.renewal = nil
	case !last:
		n.since++
		renewed = true
	}
	r.held.release()
	return false, renewed, nil
}

// sendAhead runs the set-ups of sessions that only open a transaction, beside
// what brings the tables back.
func (r *run) sendAhead(ctx context.Context) {
	for i, described := range r.spec.Sessions {
		if s := r.sessions[i]; described.Setup != nil && s.begun == nil && begins(*described.Setup) {
			s.begun = begin(ctx, s.conn, *described.Setup)
		}
	}
}

// value is the first that a text gives, of all its statements.
func value(ctx context.Context, c racelab.Conn, text string) (first string, err error) {
	found := false
	err = c.Text(ctx, text, func(a racelab.Answer) {
		if a.Table != nil && len(a.Table.Rows) > 0 && !found {
			first, found = a.Table.Rows[0][0].(string)
		}
	})
	if err == nil && !found {
		err = errors.New("the server gave no value")
	}
	return first, err
}

// held is a writer that can keep what is printed until it is known to hold.
type held struct {
	to   io.Writer
	on   bool
	text bytes.Buffer
}

func (h *held) Write(p []byte) (int, error) {
	if h.on {
		return h.text.Write(p)
	}
	return h.to.Write(p)
}

func (h *held) release() {
	_, _ = h.text.WriteTo(h.to) // whoever reads no more is not told more
	h.on = false
}

func (h *held) forget() {
	h.text.Reset()
	h.on = false
}

// after is a writer that releases what was printed before.
type after struct {
	*held
	to io.Writer
}

func (a after) Write(p []byte) (int, error) {
	on := a.on
	a.release()
	a.on = on
	return a.to.Write(p)
}
