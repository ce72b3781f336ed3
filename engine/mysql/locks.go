package mysql

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A lock is one that a transaction holds or asks for.
type lock struct {
	what    string   // the table, or the page of an index
	heaps   []uint64 // the records on the page; none: the table itself
	mode    string   // S, X, IS, IX, AUTO-INC
	gap     bool     // only the gap before the record
	record  bool     // only the record, not the gap
	insert  bool     // to insert into the gap
	waiting bool
}

// supremum is the number of the record behind a page's last one: a lock on it
// is one on the gap.
const supremum = 1

var (
	recordLine = regexp.MustCompile(`^RECORD LOCKS (space id \d+ page no \d+) n bits \d+ index .* trx id \d+ lock[_ ]mode (\S+)(.*)$`)
	tableLine  = regexp.MustCompile(`^TABLE LOCK table (.*) trx id \d+ lock mode (\S+)(.*)$`)
	heapLine   = regexp.MustCompile(`^Record lock, heap no (\d+)\b`)
)

func parseLock(line string) (lock, bool) {
	m := recordLine.FindStringSubmatch(line)
	if m == nil {
		m = tableLine.FindStringSubmatch(line)
	}
	if m == nil {
		return lock{}, false
	}
	return lock{
		what:    m[1],
		mode:    m[2],
		gap:     strings.Contains(m[3], "locks gap before rec"),
		record:  strings.Contains(m[3], "locks rec but not gap"),
		insert:  strings.Contains(m[3], "insert intention"),
		waiting: strings.Contains(m[3], "waiting"),
	}, true
}

func parseHeap(line string) (uint64, bool) {
	m := heapLine.FindStringSubmatch(line)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseUint(m[1], 10, 64)
	return n, err == nil
}

// compatible is InnoDB's table of lock modes (lock0priv.h).
var compatible = map[string][]string{
	"IS":       {"IS", "IX", "S", "AUTO-INC"},
	"IX":       {"IS", "IX", "AUTO-INC"},
	"S":        {"IS", "S"},
	"X":        {},
	"AUTO-INC": {"IS", "IX"},
}

// waitsFor reports whether a request for w waits for another transaction's l,
// as InnoDB's lock_rec_has_to_wait and lock_table_has_to_wait_in_queue do.
func (w lock) waitsFor(l lock) bool {
	if w.what != l.what || slices.Contains(compatible[w.mode], l.mode) {
		return false
	}
	if len(w.heaps) == 0 {
		return len(l.heaps) == 0
	}
	for _, heap := range w.heaps { // a request is for one record
		if !slices.Contains(l.heaps, heap) {
			continue
		}
		gap := w.gap || heap == supremum
		switch {
		case gap && !w.insert: // locks on gaps do not hinder each other,
		case !w.insert && l.gap: // nor records,
		case gap && l.record: // nor records them;
		case l.insert: // and nobody waits for one who wants to insert
		default:
			return true
		}
	}
	return false
}

// An edges says for whom each connection waits.
type edges map[uint64][]uint64

func (e edges) add(waiter, holder uint64) {
	if !slices.Contains(e[waiter], holder) {
		e[waiter] = append(e[waiter], holder)
	}
}

// holders computes who waits for whom, also for those who only stand before it
// in the queue. It is false if the text does not say all.
func (s status) holders() (edges, bool) {
	e := edges{}
	for _, w := range s {
		if !w.waiting {
			continue
		}
		at := slices.IndexFunc(w.locks, func(l lock) bool { return l.waiting })
		if at < 0 {
			return nil, false
		}
		for _, other := range s {
			if other.thread == w.thread {
				continue
			}
			if other.partial {
				return nil, false
			}
			for _, l := range other.locks {
				if (!l.waiting || other.waited > w.waited) && w.locks[at].waitsFor(l) {
					e.add(w.thread, other.thread)
				}
			}
		}
		if len(e[w.thread]) == 0 {
			return nil, false
		}
	}
	return e, true
}
