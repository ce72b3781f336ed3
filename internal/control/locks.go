package control

import (
	"slices"

	"github.com/racelab/racelab"
)

// Held is an operation that may hold locks, because its transaction goes on.
type Held struct {
	Op     racelab.Op
	Result racelab.Result
}

// note keeps what an operation that is done has done to locks.
func (d *Director) note(s *seat) {
	if s.op.Conn == "" {
		return
	}
	conn, l := s.op.Conn, d.locking(s.op)
	s.keeps = s.keeps || l&racelab.MayKeep != 0
	switch {
	case s.op.Kind == racelab.Commit, s.op.Kind == racelab.Rollback, s.op.Fault != racelab.NoFault:
		s.began[conn], s.freed = false, true
		delete(s.holds, conn)
		return
	case s.op.Kind == racelab.Begin:
		s.began[conn] = s.result.Class == racelab.OK
	}
	if !s.began[conn] {
		s.freed = true // a transaction of its own has ended
		return
	}
	if l&racelab.MayHold != 0 {
		s.holds[conn] = append(s.holds[conn], Held{s.op, s.result})
	}
	s.freed = s.freed || s.result.Class != racelab.OK || l&racelab.MayFree != 0
}

// mayWait reports whether an operation may have to wait for what others hold.
func (d *Director) mayWait(s *seat) bool {
	if d.locking(s.op)&racelab.MayWait == 0 {
		return false
	}
	for _, other := range d.seats {
		if other.keeps {
			return true
		}
		for conn, holds := range other.holds {
			if conn != s.op.Conn && slices.ContainsFunc(holds, func(h Held) bool { return d.engine.Meets == nil || d.engine.Meets(s.op, h) }) {
				return true
			}
		}
		if other != s && other.state == waiting {
			return true
		}
	}
	return false
}

func (d *Director) locking(op racelab.Op) racelab.Locking {
	l, ok := d.engine.locking[op.Text]
	if !ok {
		l = d.engine.Dialect.Locking(op.Text, d.engine.Level)
		d.engine.locking[op.Text] = l
	}
	return l
}
