package mysql

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A status is the list of transactions in the text of SHOW ENGINE INNODB STATUS.
type status []transaction

type transaction struct {
	thread  uint64 // the connection's number
	number  string // the transaction's own
	query   string // what else names the connection, and its statement
	waiting bool   // for a row or table lock
	waited  int64  // microseconds
	locks   []lock // all of them only if innodb_status_output_locks is on
	partial bool   // the server left some locks out
}

// Marks of the text, from InnoDB's srv0srv.cc, lock0lock.cc and ha_innodb.cc.
const (
	listStart = "\nLIST OF TRANSACTIONS FOR EACH SESSION:\n"
	listEnd   = "\n--------\nFILE I/O\n--------\n"
	textEnd   = "END OF INNODB MONITOR OUTPUT"
	truncated = "... truncated..."
	blockMark = "---TRANSACTION "
	partMark  = "LOCKS PRINTED FOR THIS TRX: SUPPRESSING FURTHER PRINTS"
)

var (
	threadLine = regexp.MustCompile(`^(?:MariaDB|MySQL) thread id (\d+), (OS thread handle \S*(?: query id \d+)?)`)
	waitedLine = regexp.MustCompile(`^------- TRX HAS BEEN WAITING (\d+) (us|ns|SEC) FOR THIS LOCK TO BE GRANTED`)
)

// parseStatus reads the transactions that are listed after the TRANSACTIONS
// header. Before it stands the latest deadlock, which names connections and
// LOCK WAIT too, long after it is over. The server cuts a text over 1 MB in the
// middle of the list: that is an error, because who is missing may wait.
func parseStatus(text string) (status, error) {
	_, list, found := strings.Cut(text, "\n------------\nTRANSACTIONS\n------------\n")
	if !found {
		return nil, errors.New("the InnoDB status has no list of transactions")
	}
	if strings.Contains(list, truncated) {
		return nil, errors.New("the InnoDB status is over 1 MB and was cut: there are too many transactions to say who waits")
	}
	if _, list, found = strings.Cut(list, listStart); !found {
		return nil, errors.New("the InnoDB status has no list of transactions")
	}
	// A statement's text stands in the list as it is, the rest does not
	// contain the mark: the last one is the server's.
	end := strings.LastIndex(list, listEnd)
	if end < 0 || !strings.Contains(list[end:], textEnd) {
		return nil, errors.New("the InnoDB status does not come to its end")
	}
	var s status
	seen := map[uint64]int{} // position in s, from 1
	for i, block := range strings.Split("\n"+list[:end], "\n"+blockMark) {
		if i == 0 {
			continue // before the first
		}
		t, ours := parseTransaction(block)
		if !ours {
			continue // the purge or another one without a connection
		}
		if at := seen[t.thread]; at > 0 && s[at-1].query == t.query && s[at-1].number != t.number {
			// A statement that changes tables has a second transaction.
			same := &s[at-1]
			same.waiting, same.partial = same.waiting || t.waiting, same.partial || t.partial
			same.waited, same.locks = max(same.waited, t.waited), append(same.locks, t.locks...)
			continue
		} else if at > 0 {
			// As when a statement's text quotes a status.
			return nil, fmt.Errorf("the InnoDB status lists connection %d twice", t.thread)
		}
		s = append(s, t)
		seen[t.thread] = len(s)
	}
	return s, nil
}

// parseTransaction reads one block: a head that ends with the connection's
// line, the statement, and the locks.
func parseTransaction(block string) (t transaction, ours bool) {
	t.number, _, _ = strings.Cut(block, ",")
	for line := range strings.SplitSeq(block, "\n") {
		if !ours { // the head: no text of a statement can be in it
			if strings.HasPrefix(line, "LOCK WAIT ") {
				t.waiting = true
			}
			if m := threadLine.FindStringSubmatch(line); m != nil {
				n, err := strconv.ParseUint(m[1], 10, 64)
				if err != nil {
					return t, false
				}
				t.thread, t.query, ours = n, m[2], true
			}
			continue
		}
		if m := waitedLine.FindStringSubmatch(line); m != nil {
			t.waited, _ = strconv.ParseInt(m[1], 10, 64)
			switch m[2] {
			case "SEC":
				t.waited *= 1e6
			case "ns":
				t.waited /= 1e3
			}
		} else if strings.HasSuffix(line, partMark) {
			t.partial = true
		} else if l, ok := parseLock(line); ok {
			t.locks = append(t.locks, l)
		} else if heap, ok := parseHeap(line); ok && len(t.locks) > 0 {
			last := &t.locks[len(t.locks)-1]
			last.heaps = append(last.heaps, heap)
		}
	}
	return t, ours
}

// waits reports whether the connection waits for a lock of InnoDB.
func (s status) waits(thread uint64) bool {
	for _, t := range s {
		if t.thread == thread {
			return t.waiting
		}
	}
	return false
}
