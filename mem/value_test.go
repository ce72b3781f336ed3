package mem_test

import (
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

// A node is a value with pointers in it.
type node struct {
	value int
	next  *node
	seen  []any
}

// Two runs of the same program would come to different things if an address
// were among them.
func TestNoAddressIsInTheState(t *testing.T) {
	for _, c := range []struct {
		value any
		want  racelab.Value
	}{
		{node{value: 1}, "{1 <nil> []}"},
		{node{1, &node{}, []any{2, "two", &node{}, nil}}, "{1 *mem_test.node [2 two *mem_test.node <nil>]}"},
		{[]*int{new(int)}, "[*int]"},
		{[2]func(){func() {}}, "[func() <nil>]"},
		{&node{}, "*mem_test.node"},
		{[]byte("bytes"), "bytes"},
		{[]racelab.Class{racelab.OK}, "[ok]"},
		{racelab.Schedule{{Session: "A", Step: 1}}, "A1"},
	} {
		m := &racelab.Memory{}
		mem.NewVar(m, "v", c.value)
		if got := m.State()[0].Rows[0][0]; got != c.want {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
}
