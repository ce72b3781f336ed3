package mem_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

// A model does one operation after another, by their texts. It says what the
// operation gives, "" if nothing, and whether it can be done now.
type model func(session racelab.SessionID, text string) (gives string, can bool)

// A modelled primitive is operations on one and its model.
type modelled struct {
	ops   func(m *racelab.Memory) map[string]func(who int)
	model func() model
}

var allModelled = map[string]modelled{
	"atomic": {
		func(m *racelab.Memory) map[string]func(int) {
			x := mem.NewAtomic(m, "x", 0)
			return map[string]func(int){
				"add": func(who int) { mem.Add(x, who) }, "load": func(int) { x.Load() },
				"swap": func(int) { x.Swap(0) }, "compare": func(int) { x.CompareAndSwap(0, 5) },
			}
		},
		func() model {
			x := 0
			return func(s racelab.SessionID, text string) (string, bool) {
				before := x
				switch text {
				case "add to x":
					x += int(s[0] - 'A')
				case "swap x":
					x = 0
					return fmt.Sprint(before), true
				case "compare and swap x":
					if x == 0 {
						x = 5
					}
					return fmt.Sprint(before == 0), true
				}
				return fmt.Sprint(x), true
			}
		},
	},
	"semaphore": {
		func(m *racelab.Memory) map[string]func(int) {
			x := mem.NewSemaphore(m, "x", 3)
			return map[string]func(int){
				"acquire": func(int) { x.Acquire(1) }, "two": func(int) { x.Acquire(2) },
				"try": func(int) { x.TryAcquire(2) }, "release": func(int) { x.Release(1) },
			}
		},
		func() model {
			left := 3
			return func(_ racelab.SessionID, text string) (string, bool) {
				switch text {
				case "release x":
					left++
					return "", true
				case "try to acquire 2 of x":
					if left < 2 {
						return "false", true
					}
					left -= 2
					return "true", true
				}
				n := 1 + strings.Count(text, "2")
				if left < n {
					return "", false
				}
				left -= n
				return "", true
			}
		},
	},
	"rw mutex": {
		func(m *racelab.Memory) map[string]func(int) {
			x := mem.NewRWMutex(m, "x")
			return map[string]func(int){
				"write": func(int) { both(x.Lock, x.Unlock)() }, "read": func(int) { both(x.RLock, x.RUnlock)() },
				"try": func(int) {
					if x.TryLock() {
						x.Unlock()
					}
				},
				"try to read": func(int) {
					if x.TryRLock() {
						x.RUnlock()
					}
				},
				"read on": func(int) { x.RLock() },
			}
		},
		func() model {
			readers, writer, waits := 0, false, false
			return func(_ racelab.SessionID, text string) (string, bool) {
				free := !writer && !waits
				switch text {
				case "lock x":
					if free {
						writer, waits = readers == 0, readers > 0
					}
					return "", free
				case "lock x: go on":
					if readers > 0 {
						return "", false
					}
					writer, waits = true, false
				case "try to lock x":
					writer = writer || free && readers == 0
					return fmt.Sprint(free && readers == 0), true
				case "unlock x":
					writer = false
				case "read-lock x", "try to read-lock x":
					if free {
						readers++
					}
					if text != "read-lock x" {
						return fmt.Sprint(free), true
					}
					return "", free
				case "read-unlock x":
					readers--
				}
				return "", true
			}
		},
	},
	"channel": {
		func(m *racelab.Memory) map[string]func(int) {
			x := mem.NewChan[int](m, "x", 2)
			return map[string]func(int){
				"send": func(who int) { x.Send(who) }, "receive": func(int) { x.Recv() },
				"try to receive": func(int) { x.TryRecv() }, "try to send": func(who int) { x.TrySend(who) }, "length": func(int) { x.Len() },
			}
		},
		func() model {
			var buffer []string
			return func(s racelab.SessionID, text string) (string, bool) {
				value := fmt.Sprint(int(s[0] - 'A'))
				switch {
				case text == "length of x":
					return fmt.Sprint(len(buffer)), true
				case strings.Contains(text, "send"):
					place := len(buffer) < 2
					if place {
						buffer = append(buffer, value)
					}
					if strings.HasPrefix(text, "try") {
						return fmt.Sprint(place), true
					}
					return "", place
				case len(buffer) > 0:
					value, buffer = buffer[0], buffer[1:]
					return value, true
				}
				return "false", strings.HasPrefix(text, "try")
			}
		},
	},
	"rendezvous": {
		func(m *racelab.Memory) map[string]func(int) {
			x := mem.NewChan[int](m, "x", 0)
			return map[string]func(int){
				"send": func(who int) { x.Send(who) }, "receive": func(int) { x.Recv() },
				"try to receive": func(int) { x.TryRecv() }, "try to send": func(who int) { x.TrySend(who) },
			}
		},
		func() model {
			// Who waits, in order, and what they were met with.
			var senders, receivers []racelab.SessionID
			met := map[racelab.SessionID]string{}
			return func(s racelab.SessionID, text string) (string, bool) {
				value := fmt.Sprint(int(s[0] - 'A'))
				if strings.HasSuffix(text, "go on") {
					with, ok := met[s]
					if ok {
						delete(met, s)
					}
					return with, ok
				}
				try := strings.HasPrefix(text, "try")
				sends := strings.Contains(text, "send")
				switch {
				case sends && len(receivers) > 0:
					met[receivers[0]], receivers = value, receivers[1:]
					value = ""
				case !sends && len(senders) > 0:
					first := senders[0]
					met[first], senders = "", senders[1:]
					return fmt.Sprint(int(first[0] - 'A')), true
				case try:
					return "false", true
				case sends:
					senders = append(senders, s)
					return "", true
				default:
					receivers = append(receivers, s)
					return "", true
				}
				if try {
					return "true", true
				}
				return "", true
			}
		},
	},
}

// Whatever the schedule, a run is what the model does one step after another,
// and who waits at its end cannot go on in the model either.
func TestAnyRunIsWhatItsModelDoes(t *testing.T) {
	for name, c := range allModelled {
		t.Run(name, func(t *testing.T) {
			steps, stuck := 0, 0
			rapid.Check(t, func(rt *rapid.T) {
				var drawn [][]string
				names := slices.Sorted(func(yield func(string) bool) {
					for op := range c.ops(nil) {
						if !yield(op) {
							return
						}
					}
				})
				for range rapid.IntRange(2, 4).Draw(rt, "sessions") {
					drawn = append(drawn, rapid.SliceOfN(rapid.SampledFrom(names), 1, 5).Draw(rt, "operations"))
				}
				then := func(ready []racelab.Choice) racelab.Choice { return rapid.SampledFrom(ready).Draw(rt, "next") }
				events, err := playWith(nil, then, func(m *racelab.Memory) program {
					ops, p := c.ops(m), program{}
					for who, names := range drawn {
						p = append(p, func() {
							for _, name := range names {
								ops[name](who)
							}
						})
					}
					return p
				})
				if err != nil {
					rt.Fatal(err)
				}
				does := c.model()
				for _, e := range events {
					switch e.Kind {
					case racelab.Left:
						steps++
						if e.Result.Class == racelab.Misuse {
							return // what follows is anything
						}
						gives, can := does(e.Op.Session, e.Op.Text)
						got := ""
						if e.Result.Value != nil {
							got = fmt.Sprint(e.Result.Value)
						}
						if !can || got != gives {
							rt.Fatalf("%s gave %q, and the model %q (it can: %v)\n%s", e.Op.Name(), got, gives, can, told(events))
						}
					case racelab.Waiting:
						stuck++
						if _, can := does(e.Op.Session, e.Op.Text); can {
							rt.Fatalf("%s waits, and need not\n%s", e.Op.Name(), told(events))
						}
					}
				}
			})
			if t.Logf("%d steps, %d waited for ever", steps, stuck); steps == 0 {
				t.Error("nothing was done")
			}
		})
	}
}
