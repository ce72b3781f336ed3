package racelab

import (
	"fmt"
	"strconv"
	"strings"
)

// A Fault is what may happen to an operation on its way.
type Fault string

const (
	NoFault    Fault = ""
	DropBefore Fault = "drop before" // the connection is lost before the operation is sent
	DropAfter  Fault = "drop after"  // it is sent and done, and its answer is lost
)

// A Choice is one decision of a schedule: who goes next, and what else may be
// decided there.
type Choice struct {
	Session SessionID
	Step    int
	Fault   Fault
	Victim  SessionID // of the deadlock that the operation closes; "" is its own session
	Case    int       // of those of a select that could be taken; 0 is the first
	Tick    bool      // no session: virtual time passes
}

// String returns the choice as a schedule's text has it: A1, A4(drop after),
// B3(victim A), C2(case 2), tick.
func (c Choice) String() string {
	if c.Tick {
		return "tick"
	}
	s := string(c.Session) + strconv.Itoa(c.Step)
	switch {
	case c.Fault != NoFault:
		s += "(" + string(c.Fault) + ")"
	case c.Victim != "":
		s += "(victim " + string(c.Victim) + ")"
	case c.Case > 0:
		s += "(case " + strconv.Itoa(c.Case+1) + ")"
	}
	return s
}

// A Schedule is the order in which operations are let in. After its end a run
// goes on with the lowest session that can, without preemption.
type Schedule []Choice

// String returns the schedule as text that ParseSchedule reads:
// A1 B1 A2 B2.
func (s Schedule) String() string {
	words := make([]string, len(s))
	for i, c := range s {
		words[i] = c.String()
	}
	return strings.Join(words, " ")
}

// Switches counts the changes of session.
func (s Schedule) Switches() int {
	n := 0
	last := SessionID("")
	for _, c := range s {
		if c.Tick {
			continue
		}
		if last != "" && c.Session != last {
			n++
		}
		last = c.Session
	}
	return n
}

// ParseSchedule reads what String writes, with any white space between the
// choices. An error names the choice that is wrong.
func ParseSchedule(text string) (Schedule, error) {
	var s Schedule
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		end := strings.IndexAny(text, " \t\r\n(")
		if end < 0 {
			end = len(text)
		}
		word, option := text[:end], ""
		text = text[end:]
		if strings.HasPrefix(text, "(") {
			inside, rest, closed := strings.Cut(text[1:], ")")
			if !closed {
				return nil, fmt.Errorf("schedule: %s( is not closed", word)
			}
			option, text = strings.Join(strings.Fields(inside), " "), rest
			if option == "" {
				return nil, fmt.Errorf("schedule: %s() says nothing", word)
			}
		}
		c, err := parseChoice(word, option)
		if err != nil {
			return nil, fmt.Errorf("schedule, choice %d: %w", len(s)+1, err)
		}
		s = append(s, c)
	}
	return s, nil
}

func parseChoice(word, option string) (Choice, error) {
	if word == "tick" {
		if option != "" {
			return Choice{}, fmt.Errorf("tick takes no (%s)", option)
		}
		return Choice{Tick: true}, nil
	}
	letters := strings.TrimRight(word, "0123456789")
	step, err := strconv.Atoi(word[len(letters):])
	if err != nil || step < 1 || step > 1_000_000 || !isSession(letters) {
		return Choice{}, fmt.Errorf("%q is not a session and a step, such as A1", word)
	}
	c := Choice{Session: SessionID(letters), Step: step}
	victim, isVictim := strings.CutPrefix(option, "victim ")
	nth, isCase := strings.CutPrefix(option, "case ")
	switch {
	case option == "":
	case isVictim && isSession(victim):
		c.Victim = SessionID(victim)
	case isCase:
		n, err := strconv.Atoi(nth)
		if err != nil || n < 2 || n > 1000 || strconv.Itoa(n) != nth {
			return Choice{}, fmt.Errorf("%s(%s): the cases are (case 2), (case 3) and so on; the first is not said", word, option)
		}
		c.Case = n - 1
	case Fault(option) == DropBefore || Fault(option) == DropAfter:
		c.Fault = Fault(option)
	default:
		return Choice{}, fmt.Errorf("%s(%s): there is (drop before), (drop after), (victim A) and (case 2)", word, option)
	}
	return c, nil
}

// isSession reports whether s names a session: capitals, and small letters
// behind them if another session has started it.
func isSession(s string) bool {
	own := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyz")
	for _, r := range own {
		if r < 'A' || r > 'Z' {
			return false
		}
	}
	return own != ""
}

// Onward is the choice without preemption among those that are ready: the last
// session's, or, if it has none, the first.
func Onward(last SessionID, ready []Choice) Choice {
	for _, c := range ready {
		if c.Session == last && !c.Tick {
			return c
		}
	}
	return ready[0]
}
