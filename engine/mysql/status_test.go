package mysql

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func readStatus(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "status", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The texts are those of a server, at moments that their names say.
func TestParseStatus(t *testing.T) {
	tests := []struct {
		name     string
		waiting  []uint64
		running  []uint64
		holders  edges
		complete bool
	}{
		{"quiet", nil, nil, edges{}, true},
		{"queue", []uint64{9, 10}, []uint64{8}, edges{9: {8}, 10: {9, 8}}, true},
		{"after-deadlock", nil, nil, edges{}, true}, // 8 and 9 wait there, in the past
		{"insert-at-end", []uint64{9}, []uint64{8}, edges{9: {8}}, true},
		{"many-locks", []uint64{9}, []uint64{8}, nil, false},
		{"no-locks", []uint64{9}, []uint64{8}, nil, false}, // innodb_status_output_locks=OFF
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := parseStatus(readStatus(t, test.name))
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range test.waiting {
				if !s.waits(id) {
					t.Errorf("connection %d does not wait", id)
				}
			}
			for _, id := range append(test.running, 1, 999) {
				if s.waits(id) {
					t.Errorf("connection %d waits", id)
				}
			}
			if len(s) != len(test.waiting)+len(test.running) {
				t.Errorf("transactions %+v", s)
			}
			if got, complete := s.holders(); complete != test.complete || complete && !reflect.DeepEqual(got, test.holders) {
				t.Errorf("holders %v, complete: %v; want %v, %v", got, complete, test.holders, test.complete)
			}
		})
	}
}

func TestParseStatusFailsInsteadOfGuessing(t *testing.T) {
	whole := readStatus(t, "queue")
	block := whole[strings.Index(whole, "---TRANSACTION 148"):strings.Index(whole, "---TRANSACTION 147")]
	tests := map[string]string{
		"nothing":                     "",
		"without the list":            strings.Replace(whole, "LIST OF TRANSACTIONS", "LIST OF NOTHING", 1),
		"cut in the list":             strings.Replace(whole, block, "... truncated...\n", 1),
		"cut before the list's end":   whole[:strings.Index(whole, "---TRANSACTION 147")],
		"cut before the text's end":   whole[:strings.Index(whole, "END OF INNODB")],
		"a statement quotes a status": strings.Replace(whole, "UPDATE t\n", "UPDATE t /*\n"+block+"*/\n", 1),
	}
	for name, text := range tests {
		if s, err := parseStatus(text); err == nil {
			t.Errorf("%s: no error but %+v", name, s)
		}
	}
}

// MySQL's text counts whole seconds and says MySQL.
func TestParseStatusOfMySQL(t *testing.T) {
	text := strings.NewReplacer("MariaDB thread id", "MySQL thread id").Replace(readStatus(t, "queue"))
	text = waitedLine.ReplaceAllString(text, "------- TRX HAS BEEN WAITING 3 SEC FOR THIS LOCK TO BE GRANTED")
	s, err := parseStatus(text)
	if err != nil || !s.waits(9) || !s.waits(10) || s.waits(8) {
		t.Errorf("%+v, %v", s, err)
	}
}

func FuzzParseStatus(f *testing.F) {
	for _, name := range []string{"quiet", "queue", "after-deadlock", "many-locks", "no-locks"} {
		f.Add(readStatus(f, name))
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseStatus(text)
		if err != nil {
			return
		}
		seen := map[uint64]bool{}
		for _, tr := range s {
			if seen[tr.thread] {
				t.Errorf("connection %d twice", tr.thread)
			}
			seen[tr.thread] = true
			if tr.waiting != s.waits(tr.thread) {
				t.Errorf("connection %d: two answers", tr.thread)
			}
		}
		e, _ := s.holders()
		for waiter, on := range e {
			if !s.waits(waiter) || len(on) == 0 {
				t.Errorf("%d waits for %v", waiter, on)
			}
		}
	})
}

// A statement that changes a table has two transactions, and either may wait.
func TestAConnectionMayHaveTwoTransactions(t *testing.T) {
	whole := readStatus(t, "queue")
	block := whole[strings.Index(whole, "---TRANSACTION 148"):strings.Index(whole, "---TRANSACTION 147")]
	number, _, _ := strings.Cut(strings.TrimPrefix(block, "---TRANSACTION "), ",")
	other := strings.NewReplacer("TRANSACTION "+number, "TRANSACTION 9"+number, "LOCK WAIT ", "").Replace(block)
	for name, both := range map[string]string{"the first waits": block + other, "the second waits": other + block} {
		s, err := parseStatus(strings.Replace(whole, block, both, 1))
		if err != nil {
			t.Fatal(err)
		}
		if len(s) != 3 || !s.waits(9) || !s.waits(10) || s.waits(8) {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
