// Package spec reads and prints the files in which PostgreSQL describes its
// isolation tests (src/test/isolation/README in PostgreSQL's sources): sessions,
// their steps, and the orders in which the steps are to run.
//
//	setup    { CREATE TABLE t (n int); INSERT INTO t VALUES (0); }
//	teardown { DROP TABLE t; }
//
//	session s1
//	step read1  { SELECT n FROM t; }
//	step write1 { UPDATE t SET n = 1; }
//
//	session s2
//	step write2 { UPDATE t SET n = 2; }
//
//	permutation read1 write2 write1
//
// A comment that begins with racelab: is for racelab alone, and may stand where
// any comment may:
//
//	# racelab: invariant SELECT count(*) = 1 FROM t
//	# racelab: invariant nobody is paid twice: SELECT count(*) = 0 FROM paid WHERE n > 1
//
// It accepts what PostgreSQL's isolationtester accepts, with these exceptions,
// which that program cuts off or passes on: NUL, bytes that are no UTF-8, numbers
// beyond 32 bits, and files of more than MaxSize bytes.
package spec

import (
	"fmt"
	"slices"
)

// A Spec is a file's content, without its ordinary comments. Texts in SQL are as they
// stand between the braces, without the blanks next to these.
type Spec struct {
	Setups       []string // each is one message to the server
	Teardown     *string  // nil if there is none, which differs from an empty one
	Sessions     []Session
	Permutations []Permutation // none asks for all of them
	Invariants   []Invariant
}

// An Invariant is what must be true in the end: what the query gives, which is
// one value.
type Invariant struct {
	Name  string // "" if it has none; without a colon
	Query string // on one line, without a semicolon at its end
}

// A Session is what one connection does. Sessions may share a name.
type Session struct {
	Name            string
	Setup, Teardown *string
	Steps           []Step // at least one
}

// A Step is one message to the server. Its name is the only one in the file.
type Step struct {
	Name, SQL string
}

// A Permutation is an order of steps: some or all of them, and each as often as
// it likes.
type Permutation []Scheduled

// A Scheduled step is told to have completed only when all its markers allow it.
type Scheduled struct {
	Step    string
	Markers []Marker
}

// A Marker delays the report that a step has completed, and nothing else.
type Marker struct {
	Kind    MarkerKind
	Step    string // unless Once: one of the same permutation and another session
	Notices int    // if AfterNotices
}

// A MarkerKind says what a marker waits for.
type MarkerKind int

const (
	Once         MarkerKind = iota + 1 // (*): the next time somebody looks, whether it has waited or not
	AfterStep                          // (step): until that one has completed
	AfterNotices                       // (step notices N): until the session of that one has had N more notices
)

// Step returns the step of that name and the index of its session. It panics if
// there is none, which a Spec that was parsed does not ask for.
func (s *Spec) Step(name string) (step Step, session int) {
	for i, session := range s.Sessions {
		for _, step := range session.Steps {
			if step.Name == name {
				return step, i
			}
		}
	}
	panic(fmt.Sprintf("there is no step %q", name))
}

// Unused lists the steps that no permutation names, in the order of their
// names, where there are permutations. They are worth a warning.
func (s *Spec) Unused() []string {
	if len(s.Permutations) == 0 {
		return nil
	}
	used := map[string]bool{}
	for _, p := range s.Permutations {
		for _, scheduled := range p {
			used[scheduled.Step] = true
		}
	}
	var unused []string
	for _, session := range s.Sessions {
		for _, step := range session.Steps {
			if !used[step.Name] {
				unused = append(unused, step.Name)
			}
		}
	}
	slices.Sort(unused)
	return unused
}
