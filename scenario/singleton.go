package scenario

import (
	"context"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

var singleton = racelab.Scenario{
	Name:    "singleton",
	Summary: "two threads ask for the one instance, and there are two",
	Story: `The talk's SingletonClass makes its instance when it is first asked for: look
whether there is one, and make it if there is not. Two threads that both look
before either has made one both make one. If it is a configuration somebody loads
twice; if it is a connection pool there are twice as many connections as anybody
allowed; if it holds a counter, half of what was counted is in the other one.`,
	Sources: []string{"2-thread-safety-talk.txt"},
	Reading: []string{
		"The Go Memory Model, go.dev/ref/mem#badsync: double-checked locking",
		"Package sync, Once: f has returned when any call of Do does",
		"D. Bacon et al., The \"Double-Checked Locking is Broken\" Declaration",
	},
	Cast: []racelab.Role{
		{Name: "user", Calls: []racelab.Args{nil}},
		{Name: "user", Calls: []racelab.Args{nil}},
	},
	Invariants: []racelab.Invariant{{Name: "one instance was made", Measure: oneInstance}},
	Strategies: []racelab.Strategy{
		{
			Name:    "naive",
			Summary: "look whether there is an instance, and make one if not",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "lost-update"}},
			Fix:     []string{"once"},
			Process: newSingleton,
			Body:    user(singletonNaive),
		},
		{
			Name:    "locked",
			Summary: "look and make with a mutex around both",
			Safe:    true,
			Process: newSingleton,
			Body:    user(singletonLocked),
		},
		{
			Name:    "once",
			Summary: "sync.Once",
			Safe:    true,
			Process: newSingleton,
			Body:    user(singletonOnce),
		},
		{
			Name:    "double-checked-plain",
			Summary: "look without the mutex, and again with it: one instance, and a data race",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "data-race"}},
			Fix:     []string{"double-checked"},
			Process: newSingleton,
			Body:    user(singletonDoubleCheckedPlain),
		},
		{
			Name:    "double-checked",
			Summary: "the same, and the first look is an atomic load",
			Safe:    true,
			Process: newPublishedSingleton,
			Body:    user(singletonDoubleChecked),
		},
	},
}

func user(b racelab.Body) map[string]racelab.Body { return map[string]racelab.Body{"user": b} }

// The talk's __new__: if there is no instance, make one. Between the look and the
// assignment another thread looks, too, and sees nothing. Each has an instance
// of its own, and the one that was assigned first is forgotten by everybody but
// its user: obj1 is obj2 is False, once in a while.
func singletonNaive(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	s := env.Process.(*sharedSingleton)
	if s.instance.Load() == 0 {
		if err := env.Window(ctx); err != nil {
			return nil, err
		}
		s.instance.Store(newInstance(s))
	}
	return s.instance.Load(), nil
}

// Who looks has the mutex until there is an instance. It is right, and everybody
// pays for the mutex for ever, though it is needed but once. That is cheap: try
// it before anything more clever.
func singletonLocked(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	s := env.Process.(*sharedSingleton)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.instance.Load() == 0 {
		s.instance.Store(newInstance(s))
	}
	return s.instance.Load(), nil
}

// Go has a type for it. The first who comes makes the instance, whoever comes
// meanwhile waits until it is made, and later ones pass. What was done inside Do
// comes before every return from it, so the plain load after it races with nothing.
func singletonOnce(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	s := env.Process.(*sharedSingleton)
	s.once.Do(func() { s.instance.Store(newInstance(s)) })
	return s.instance.Load(), nil
}

// The talk's safe Singleton, in Go: look, and only if there is nothing take the
// mutex and look again. There is never a second instance. It is a data race all
// the same: the first look is a plain read while somebody may be writing, and
// nothing orders the two. Python's interpreter lock does that in passing; Go
// promises nothing. A compiler or a processor may show the pointer before the
// fields of what it points to, and who sees it uses an instance that is half made.
func singletonDoubleCheckedPlain(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	s := env.Process.(*sharedSingleton)
	if instance := s.instance.Load(); instance != 0 {
		return instance, nil
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.instance.Load() == 0 {
		s.instance.Store(newInstance(s))
	}
	return s.instance.Load(), nil
}

// The pointer is atomic. Whoever loads it comes after whoever stored it, and so
// after everything that was done to the instance before. The mutex is taken by
// those who come before that, and by nobody later. It is what sync.Once does
// inside; write Once.
func singletonDoubleChecked(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	s := env.Process.(*sharedSingleton)
	if instance := s.published.Load(); instance != 0 {
		return instance, nil
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.published.Load() == 0 {
		s.published.Store(newInstance(s))
	}
	return s.published.Load(), nil
}

// newInstance makes an instance, and gives it a number: the first is 1.
func newInstance(s *sharedSingleton) int64 { return mem.Add(s.made, 1) }

type sharedSingleton struct {
	instance  *mem.Var[int64]    // 0 is none
	published *mem.Atomic[int64] // the same
	made      *mem.Atomic[int64] // how many
	mutex     *mem.Mutex
	once      *mem.Once
}

func newSingleton(m *racelab.Memory) any {
	return &sharedSingleton{
		instance: mem.NewVar(m, "instance", int64(0)), made: mem.NewAtomic(m, "made", int64(0)),
		mutex: mem.NewMutex(m, "the mutex"), once: mem.NewOnce(m, "the making"),
	}
}

func newPublishedSingleton(m *racelab.Memory) any {
	return &sharedSingleton{
		published: mem.NewAtomic(m, "instance", int64(0)), made: mem.NewAtomic(m, "made", int64(0)),
		mutex: mem.NewMutex(m, "the mutex"),
	}
}

func oneInstance(s racelab.State) (expected, actual int64, err error) {
	actual, err = intIn(s, "made")
	return 1, actual, err
}
