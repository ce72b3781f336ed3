package check

import "github.com/racelab/racelab"

// Between tells, for a run, where a preemption is likely to matter: it reports
// whether at an event the session that ran last has touched something before
// and will again, and the one that would take over touches it too, one of them
// writing.
func Between(h racelab.History) func(event int, last, next racelab.SessionID) bool {
	type use struct {
		at      int
		session racelab.SessionID
		writes  bool
	}
	uses := map[string][]use{}
	for i, e := range h.Events {
		if e.Kind != racelab.Entered {
			continue
		}
		if e.Op.Conn == "" {
			for _, t := range e.Op.Touches {
				uses["memory "+t.Object] = append(uses["memory "+t.Object], use{i, e.Op.Session, t.Mode&racelab.Writes != 0})
			}
			continue
		}
		if a := accessOf(e.Op); a.table != "" {
			item := a.table + " " + a.key
			uses[item] = append(uses[item], use{i, e.Op.Session, a.verb != "SELECT"})
		}
	}
	return func(event int, last, next racelab.SessionID) bool {
		for _, all := range uses {
			var before, after, lastWrites, taken, nextWrites bool
			for _, u := range all {
				switch u.session {
				case last:
					before = before || u.at < event
					after = after || u.at >= event
					lastWrites = lastWrites || u.writes
				case next:
					taken = true
					nextWrites = nextWrites || u.writes
				}
			}
			if before && after && taken && (lastWrites || nextWrites) {
				return true
			}
		}
		return false
	}
}
