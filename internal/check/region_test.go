package check

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
)

func TestRegionOf(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT v FROM t WHERE id = ? FOR UPDATE":                                                      "t id 7; [v] locking",
		"SELECT t.v, w FROM s.t WHERE t.a >= 2 AND b IN (1, 'x');":                                     "t a >= 2, b 1 or x; [v w]",
		"SELECT * FROM t WHERE a BETWEEN 1 AND 5 AND NOT b AND c":                                      "t a >= 1, a <= 5, b FALSE, c TRUE; [*]",
		"SELECT count(*) FROM t WHERE a IS NOT NULL ORDER BY a":                                        "t a <> NULL; []",
		"SELECT v FROM t WHERE a = 1 OR b = 2":                                                         "t; [v] and more",
		"SELECT v FROM t WHERE a = 1 AND b = c":                                                        "t a 1; [v] and more",
		"SELECT v FROM t JOIN u ON t.a = u.a WHERE id = 1":                                             "t; [] and more, joined [u]",
		"SELECT v FROM t, u WHERE id = 1":                                                              "t; [] and more",
		"SELECT v FROM t WHERE id IN (SELECT id FROM u)":                                               "t; [] and more, joined [u]",
		"INSERT INTO t (a, b) VALUES (?, -1), (2, now())":                                              "t; [] rows map[a:7 b:-1] map[a:2]",
		"INSERT INTO t SELECT * FROM u":                                                                "t; [] and more, joined [u]",
		"INSERT INTO t (a, b) VALUES (1, 2) ON CONFLICT DO NOTHING":                                    "t; [] rows map[a:1 b:2]",
		"REPLACE INTO t (a, b) VALUES (1, 2)":                                                          "t a 1; [] rows map[a:1 b:2] upsert a=1 b=2",
		"INSERT INTO t (n, a) VALUES (1, 2) ON CONFLICT (a) DO UPDATE SET n = excluded.n, m = t.m + 1": "t a 2; [] rows map[a:2 n:1] upsert n=1 m=t . m + 1",
		"INSERT INTO t (a, n) VALUES (1, 2) ON DUPLICATE KEY UPDATE n = VALUES(n)":                     "t a 1; [] rows map[a:1 n:2] upsert n=2",
	} {
		r := regionOf(racelab.Op{Text: text, Args: []any{int64(7)}})
		got := fmt.Sprintf("%s; %v", r, r.columns)
		if r.locking {
			got += " locking"
		}
		if !r.where.whole && r.rows == nil {
			got += " and more"
		}
		if r.joined != nil {
			got += fmt.Sprintf(", joined %v", r.joined)
		}
		if r.rows != nil {
			got += " rows"
		}
		for _, one := range r.rows {
			got += fmt.Sprint(" ", map[string]string(one))
		}
		if r.upsert {
			got += " upsert"
			for _, s := range r.sets {
				got += " " + s.column + "=" + s.value
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestAConjunctionMatchesWhatIsKnown(t *testing.T) {
	for _, test := range []struct {
		where string
		row   row
		want  certainty
	}{
		{"a = 1", row{"a": "1"}, yes},
		{"a = 1", row{"a": "1.0"}, yes},
		{"a = 1", row{"a": "2"}, no},
		{"a = 1", row{"b": "2"}, maybe},
		{"a = 1 AND b = 2", row{"a": "1"}, maybe},
		{"a = 1 AND b = 2", row{"b": "3"}, no},
		{"a = 1 AND f(b)", row{"a": "1"}, maybe},
		{"a = 1 AND f(b)", row{"a": "2"}, no},
		{"a = 1 OR b = 2", row{"a": "1"}, maybe},
		{"a", row{"a": "true"}, yes},
		{"NOT a", row{"a": "1"}, no},
		{"a <> 1", row{"a": "1"}, no},
		{"a IN (1, 2)", row{"a": "2"}, yes},
		{"a IN (1, 2)", row{"a": "3"}, no},
		{"a BETWEEN 2 AND 4", row{"a": "5"}, no},
		{"a > 'm'", row{"a": "z"}, maybe}, // by whose collation?
		{"a = 'X '", row{"a": "x"}, maybe},
		{"a IS NULL", row{"a": "NULL"}, yes},
		{"a IS NULL", row{"a": "1"}, no},
		{"at = '2024-01-01 00:00'", row{"at": "2024-01-01T00:00:00Z"}, maybe},
	} {
		if got := regionOf(racelab.Op{Text: "SELECT x FROM t WHERE " + test.where}).where.matches(test.row); got != test.want {
			t.Errorf("%s of %v: %d, want %d", test.where, test.row, got, test.want)
		}
	}
}
