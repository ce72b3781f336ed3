package check

import (
	"testing"

	"github.com/racelab/racelab"
)

func TestWhatShowsInWhichOrderRowsLie(t *testing.T) {
	r := Relation{Schema: racelab.Schema{Tables: []racelab.TableSchema{
		{Name: "item", Integers: []string{"id", "n"}, Unique: [][]string{{"id"}}, Primary: true, Heap: true},
		{Name: "event", Integers: []string{"id", "n"}, Unique: [][]string{{"id"}}, Heap: true}, // of which there may be several without one
	}}}
	for text, want := range map[string]certainty{
		"SELECT n FROM item WHERE id = 1":                                        no,
		"SELECT id, n FROM item ORDER BY id":                                     no,
		"SELECT * FROM item WHERE n > 1 ORDER BY n DESC, id ASC LIMIT 2":         no,
		"SELECT n FROM item":                                                     maybe,
		"SELECT n FROM item ORDER BY n":                                          maybe,
		"SELECT n FROM item ORDER BY n LIMIT 1":                                  yes,
		"SELECT n AS id FROM item ORDER BY id LIMIT 1":                           yes,
		"SELECT id FROM item ORDER BY id % 2 LIMIT 1":                            yes,
		"SELECT a.id FROM item a, item b ORDER BY a.id LIMIT 1":                  yes,
		"SELECT id FROM event ORDER BY id LIMIT 1":                               yes,
		"SELECT id FROM item WHERE n = (SELECT n FROM item LIMIT 1) ORDER BY id": yes,
		"SELECT now() FROM item":                                                 yes,
		"UPDATE item SET n = 1 WHERE id = 1":                                     no,
		"UPDATE item SET n = 1":                                                  maybe,
		"INSERT INTO item (id, n) VALUES (1, 1), (2, 2)":                         no,
		"INSERT INTO item (id, n) SELECT id, n FROM event":                       maybe,
	} {
		if got := r.statement(racelab.Op{Kind: racelab.Exec, Text: text}).shows; got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

func TestOnlyTablesThatAreKnownAreFollowed(t *testing.T) {
	r := Relation{Schema: racelab.Schema{Tables: []racelab.TableSchema{{Name: "item"}, {Name: "event"}}}}
	for text, followed := range map[string]bool{
		"SELECT 1": true,
		"SELECT item.n, event.n FROM item, event":                               true,
		"SELECT item.n FROM item JOIN event ON event.id = abs(item.id), item i": true,
		"INSERT INTO item (id, n) VALUES (1, 2), (3, 4)":                        true,
		"SELECT COUNT(*) FROM item WHERE n IN (1, 2) ORDER BY id, n":            true,
		"DELETE FROM item RETURNING id, n":                                      true,
		"SELECT n FROM other":                                                   false,
		"SELECT item.n FROM item, other":                                        false,
		"SELECT item.n FROM item, (SELECT n FROM event WHERE id = 1) e, o":      false,
		"SELECT item.n FROM (item CROSS JOIN event), other":                     false,
		"SELECT item.n FROM (other CROSS JOIN item)":                            false,
		"SELECT n FROM item.event":                                              false, // a schema's name
		"UPDATE item, other SET other.n = 1":                                    false,
		"INSERT other VALUES (1)":                                               false,
	} {
		s := r.statement(racelab.Op{Kind: racelab.Exec, Text: text})
		if got := len(s.main) == 0 || s.main[0].table != everything; got != followed {
			t.Errorf("%s: followed is %v", text, got)
		}
	}
}
