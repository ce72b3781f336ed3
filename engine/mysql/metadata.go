package mysql

import "slices"

// A claim is a row of performance_schema.metadata_locks: a lock outside InnoDB,
// on a table's definition or by GET_LOCK.
type claim struct {
	kind, schema, name string
	mode, status       string
	thread             uint64
}

// hindered lists by whose granted locks each request is hindered: the table
// "granted" in MariaDB's and MySQL's mdl.cc, and that of scoped locks beneath.
var hindered = map[string][]string{
	"SHARED":                {"EXCLUSIVE"},
	"SHARED_HIGH_PRIO":      {"EXCLUSIVE"},
	"SHARED_READ":           {"SHARED_NO_READ_WRITE", "EXCLUSIVE"},
	"SHARED_WRITE":          {"SHARED_READ_ONLY", "SHARED_NO_WRITE", "SHARED_NO_READ_WRITE", "EXCLUSIVE"},
	"SHARED_WRITE_LOW_PRIO": {"SHARED_READ_ONLY", "SHARED_NO_WRITE", "SHARED_NO_READ_WRITE", "EXCLUSIVE"},
	"SHARED_UPGRADABLE":     {"SHARED_UPGRADABLE", "SHARED_NO_WRITE", "SHARED_NO_READ_WRITE", "EXCLUSIVE"},
	"SHARED_READ_ONLY":      {"SHARED_WRITE", "SHARED_WRITE_LOW_PRIO", "SHARED_NO_READ_WRITE", "EXCLUSIVE"},
	"SHARED_NO_WRITE":       {"SHARED_WRITE", "SHARED_WRITE_LOW_PRIO", "SHARED_UPGRADABLE", "SHARED_NO_WRITE", "SHARED_NO_READ_WRITE", "EXCLUSIVE"},
	"SHARED_NO_READ_WRITE":  {"SHARED_READ", "SHARED_WRITE", "SHARED_WRITE_LOW_PRIO", "SHARED_UPGRADABLE", "SHARED_READ_ONLY", "SHARED_NO_WRITE", "SHARED_NO_READ_WRITE", "EXCLUSIVE"},
	"EXCLUSIVE": {"INTENTION_EXCLUSIVE", "SHARED", "SHARED_HIGH_PRIO", "SHARED_READ", "SHARED_WRITE", "SHARED_WRITE_LOW_PRIO", "SHARED_UPGRADABLE",
		"SHARED_READ_ONLY", "SHARED_NO_WRITE", "SHARED_NO_READ_WRITE", "EXCLUSIVE"},
	"INTENTION_EXCLUSIVE": {"SHARED", "EXCLUSIVE"},
}

// yields lists to whose waiting requests a request yields: the table "waiting".
var yields = map[string][]string{
	"SHARED":            {"EXCLUSIVE"},
	"SHARED_READ":       {"SHARED_NO_READ_WRITE", "EXCLUSIVE"},
	"SHARED_WRITE":      {"SHARED_NO_WRITE", "SHARED_NO_READ_WRITE", "EXCLUSIVE"},
	"SHARED_UPGRADABLE": {"EXCLUSIVE"},
	"SHARED_READ_ONLY":  {"SHARED_NO_READ_WRITE", "EXCLUSIVE"},
	"SHARED_NO_WRITE":   {"EXCLUSIVE"},
}

// claimHolders computes who waits for whom.
func claimHolders(claims []claim) edges {
	e := edges{}
	for _, w := range claims {
		if w.status != "PENDING" {
			continue
		}
		for _, l := range claims {
			if l.thread == w.thread || l.kind != w.kind || l.schema != w.schema || l.name != w.name {
				continue
			}
			if l.status == "GRANTED" && slices.Contains(hindered[w.mode], l.mode) ||
				l.status == "PENDING" && slices.Contains(yields[w.mode], l.mode) {
				e.add(w.thread, l.thread)
			}
		}
	}
	return e
}
