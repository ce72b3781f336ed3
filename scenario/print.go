package scenario

import (
	"context"
	"fmt"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

var printing = racelab.Scenario{
	Name:    "print",
	Summary: "two threads print a message each, and the lines are torn apart",
	Story: `Python's print writes what it is given, and then its end. Those are two writes, and
another thread may make its own in between: the message of one is followed by the
message of the other, and the two ends come after both. It is met in every log
that several threads write to: half a line, two lines in one, an empty one. Go's
log.Logger has a mutex for that reason; fmt.Print to os.Stdout has none.`,
	Sources: []string{"2-thread-safety-talk.txt"},
	Reading: []string{
		"Python documentation, print(): the end is written after the objects",
		"Package log: \"A Logger can be used simultaneously from multiple goroutines; it guarantees to serialize access to the Writer\"",
	},
	Cast: []racelab.Role{
		{Name: "printer", Calls: []racelab.Args{{"thread": "1"}}},
		{Name: "printer", Calls: []racelab.Args{{"thread": "2"}}},
		{Name: "printer", Calls: []racelab.Args{{"thread": "3"}}},
	},
	Sessions:   2,
	Invariants: []racelab.Invariant{{Name: "no line is torn", Measure: tornLines}},
	Strategies: []racelab.Strategy{
		{
			Name:    "naive",
			Summary: "write the message, then its separator",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated}}, // the literature has no name for it
			Fix:     []string{"locked"},
			Process: newPrinter,
			Body:    printer(printNaive),
		},
		{
			Name:    "locked",
			Summary: "the same two writes with a mutex around them",
			Safe:    true,
			Process: newPrinter,
			Body:    printer(printLocked),
		},
		{
			Name:    "one-write",
			Summary: "put the line together first, and write it at once",
			Safe:    true,
			Process: newPrinter,
			Body:    printer(printOneWrite),
		},
	},
}

func printer(b racelab.Body) map[string]racelab.Body { return map[string]racelab.Body{"printer": b} }

// The talk's printer: the message is one write, the separator another one. Each of
// them arrives whole, and the line that they make up need not.
func printNaive(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	p, thread := env.Process.(*sharedPrinter), env.Args["thread"].(string)
	p.out.Print("Printing from thread: "+thread, " | Separator of "+thread+"\n")
	return nil, nil
}

// The talk's remedy: who prints has the mutex, from the message to the separator.
// It helps as long as everybody takes it, also the library that prints a warning.
func printLocked(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	p, thread := env.Process.(*sharedPrinter), env.Args["thread"].(string)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.out.Print("Printing from thread: "+thread, " | Separator of "+thread+"\n")
	return nil, nil
}

// Without a lock: the line is put together where nobody else sees it, and is one
// write. That is what loggers do, and it is what reaches beyond one process: a
// write to a file that is open for appending is made at its end as a whole.
func printOneWrite(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	p, thread := env.Process.(*sharedPrinter), env.Args["thread"].(string)
	fmt.Fprintf(p.out, "Printing from thread: %s | Separator of %s\n", thread, thread)
	return nil, nil
}

type sharedPrinter struct {
	out   *mem.Output
	mutex *mem.Mutex
}

func newPrinter(m *racelab.Memory) any {
	return &sharedPrinter{mem.NewOutput(m, "the output"), mem.NewMutex(m, "print's mutex")}
}

// tornLines counts the lines that are not one thread's message and separator.
func tornLines(s racelab.State) (expected, actual int64, err error) {
	text, err := valueIn(s, "the output")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(text.(string)) {
		message, separator, _ := strings.Cut(line, " | ")
		if "Separator of "+strings.TrimPrefix(message, "Printing from thread: ")+"\n" != separator {
			actual++
		}
	}
	return 0, actual, nil
}
