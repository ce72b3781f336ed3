package check

import (
	"slices"
	"strings"

	"github.com/racelab/racelab"
)

// rowKeys are the "column=value" by which a write's row is known.
func (s *statement) rowKeys() []string {
	if s.key != "" {
		return []string{s.key}
	}
	if s.verb != "INSERT" || len(s.rows) != 1 {
		return nil
	}
	var keys []string
	for column, v := range s.rows[0] {
		keys = append(keys, column+"="+v)
	}
	slices.Sort(keys)
	return keys
}

// groups are the keys, "table column=value", that are of more than one row.
func groups(statements []*statement, final racelab.State) map[string]bool {
	several := map[string]bool{}
	inserted := map[string]int{}
	for _, s := range statements {
		if s.key != "" && (s.changed() > 1 || s.rowsRead() > 1) {
			several[s.table+" "+s.key] = true
		}
		if s.verb != "INSERT" || s.upsert || !s.writes() {
			continue
		}
		for _, r := range s.rows {
			for column, v := range r {
				item := s.table + " " + column + "=" + v
				inserted[item]++
				several[item] = several[item] || inserted[item] > 1
			}
		}
	}
	for _, t := range final {
		there := map[string]int{}
		for _, r := range t.Rows {
			for i, v := range r[:min(len(r), len(t.Columns))] {
				item := strings.ToLower(t.Name+" "+t.Columns[i]) + "=" + textOf(v)
				there[item]++
				several[item] = several[item] || there[item] > 1
			}
		}
	}
	return several
}

// rowSeen returns what a SELECT showed of the row that is known by a key: its
// values, or that there is none.
func (s *statement) rowSeen(key string) (seen row, present, ok bool) {
	if s.result.Rows == nil {
		return nil, false, false
	}
	column, value, _ := strings.Cut(key, "=")
	rows := s.result.Rows.Rows
	one := s.key == key && s.where.whole && len(s.where.conditions) == 1
	switch at := s.result.Rows.Column(column); {
	case one && len(rows) == 0:
		return nil, false, true
	case one && len(rows) == 1 && len(s.columns) > 0: // not a sum over rows
		return s.shown(rows[0]), true, true
	case at >= 0 && s.shows(column):
		for _, r := range rows {
			if at < len(r) && same(textOf(r[at]), value) == yes {
				return s.shown(r), true, true
			}
		}
		return nil, false, s.where.whole && len(s.where.conditions) == 0
	}
	return nil, false, false
}

// shows reports whether a result's column is the table's of that name.
func (s *statement) shows(column string) bool {
	return slices.Contains(s.columns, column) || slices.Contains(s.columns, "*")
}

// shown returns a result's row by the names of the table's columns.
func (s *statement) shown(values []racelab.Value) row {
	r := row{}
	for i, v := range values[:min(len(values), len(s.result.Rows.Columns))] {
		column := strings.ToLower(s.result.Rows.Columns[i])
		if _, isTime := v.(racelab.Time); !isTime && s.shows(column) {
			r[column] = textOf(v)
		}
	}
	return r
}

// beginnings returns what is known of rows before the first of their writes:
// what somebody read before that was even let in.
func beginnings(statements []*statement, byRow map[string][]*statement) map[string]row {
	start := map[string]row{}
	for item, writes := range byRow {
		table, k, _ := strings.Cut(item, " ")
		first := slices.MinFunc(writes, func(a, b *statement) int { return a.entered - b.entered }).entered
		for _, r := range statements {
			if r.verb != "SELECT" || r.table != table || r.left > first {
				continue
			}
			if seen, present, ok := r.rowSeen(k); ok && present {
				if start[item] == nil {
					start[item] = row{}
				}
				for column, v := range seen {
					start[item][column] = v
				}
			}
		}
	}
	return start
}
