package check

import "testing"

func TestConflicts(t *testing.T) {
	const (
		lock  = "SELECT v FROM t WHERE id = 'x' FOR UPDATE => v=0"
		share = "SELECT v FROM t WHERE id = 'x' FOR SHARE => v=0"
		join  = "SELECT t.v, u.v FROM t JOIN u ON u.id = t.u FOR UPDATE => v=0 v=1"
		write = "UPDATE u SET v = 1 WHERE id = 1"
	)
	for name, test := range map[string]struct {
		runs []string
		any  bool
		both int
	}{
		"plain reads":                        {[]string{"A r x 0; B r x 0", "B r x 0; A r x 0"}, false, 0},
		"shared locks":                       {[]string{"A " + share + "; B " + share, "B " + share + "; A " + share}, false, 0},
		"locks of the same row":              {[]string{"A " + lock + "; B " + lock, "B " + lock + "; A " + lock}, true, 1},
		"a lock and a shared one":            {[]string{"A " + lock + "; B " + share, "B " + share + "; A " + lock}, true, 1},
		"a read and a write":                 {[]string{"A r x 0; B w x 1", "B w x 1; A r x 1"}, true, 1},
		"in one order only":                  {[]string{"A r x 0; B w x 1"}, true, 0},
		"a locked join and its other table":  {[]string{"A " + join + "; B " + write, "B " + write + "; A " + join}, true, 1},
		"a wait, whatever is in the text":    {[]string{"A CALL p(1); B waits A: CALL p(2); A CALL p(3); B done"}, true, 0},
		"one session's own":                  {[]string{"A r x 0; A w x 1"}, false, 0},
		"tables that have nothing in common": {[]string{"A w x 1; B " + write, "B " + write + "; A w x 1"}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var c Conflicts
			for _, run := range test.runs {
				c.Add(script(t, run))
			}
			var again Conflicts
			again.Load(c.Save())
			for _, c := range []Conflicts{c, again} {
				if c.Any() != test.any || c.BothOrders() != test.both {
					t.Errorf("any %v, want %v; %d in both orders, want %d", c.Any(), test.any, c.BothOrders(), test.both)
				}
			}
		})
	}
}
