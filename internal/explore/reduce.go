package explore

import (
	"slices"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
)

// A reduction runs one schedule of those that differ only in the order of
// steps that may be exchanged, or a few (P. Abdulla, S. Aronis, B. Jonsson and
// K. Sagonas, Optimal Dynamic Partial Order Reduction, 2014: source sets with
// sleep sets). Every run says by its races where another schedule is needed.
type reduction struct {
	relation *check.Relation
	faults   int
	queue    []branch // the latest is run first
	later    []branch // at nodes that other parts of the search have too: for who merges them
	latest   map[racelab.Choice]check.Step

	first   racelab.History
	root    *node
	learned int // what the relation knew when the first run was read
}

// A node is a point between two steps, reached by a schedule.
type node struct {
	parent *node
	via    racelab.Choice
	depth  int
	ready  []racelab.Choice
	sleep  []check.Step // what need not be done here: all that it leads to is run elsewhere
	taken  []taken      // in the order in which they were found to be needed
	shared bool         // with other parts of the search
}

// A taken is a choice at a node, with its step when it has been run.
type taken struct {
	choice racelab.Choice
	step   *check.Step
}

// A branch is a choice at a node that is to be run.
type branch struct {
	reduction *reduction
	at        *node
	choice    racelab.Choice
}

func newReduction(relation *check.Relation, faults int) *reduction {
	return &reduction{relation: relation, faults: faults, latest: map[racelab.Choice]check.Step{}}
}

// begin reads the serial runs: from the first one all others differ.
func (r *reduction) begin(serial []racelab.History) {
	for _, h := range serial {
		r.relation.Steps(h)
	}
	r.first = serial[0]
	r.restart()
}

// restart forgets what the runs have asked for.
func (r *reduction) restart() {
	r.queue, r.later, r.learned = nil, nil, r.relation.Learned()
	r.grow(nil, r.relation.Steps(r.first))
}

func (r *reduction) len() int { return len(r.queue) }

// few is how many branches are run before their races are read. The fewer, the
// fewer runs are made in vain; the more, the more workers have something to do.
const few = 4

func (r *reduction) pop(n int) []todo {
	var all []todo
	for range min(n, few, len(r.queue)) {
		all = append(all, r.queue[len(r.queue)-1])
		r.queue = r.queue[:len(r.queue)-1]
	}
	return all
}

// back puts back what pop gave.
func (r *reduction) back(todos []todo) {
	for _, t := range slices.Backward(todos) {
		r.queue = append(r.queue, t.(branch))
	}
}

// path lists the nodes from the root to n.
func (n *node) path() []*node {
	nodes := make([]*node, n.depth+1)
	for ; n != nil; n = n.parent {
		nodes[n.depth] = n
	}
	return nodes
}

// schedule is what leads to a branch's end.
func (b branch) schedule() racelab.Schedule {
	var s racelab.Schedule
	for _, n := range b.at.path()[1:] {
		s = append(s, n.via)
	}
	return append(s, b.choice)
}

// onward chooses after a branch's end: without preemption, and nothing that
// sleeps. What wakes a sleeper is taken from earlier runs; if it is wrong, a
// run is made for nothing.
func (b branch) onward() func(ready []racelab.Choice) racelab.Choice {
	r := b.reduction
	last, sleep := b.choice, r.asleep(b.at, b.choice)
	pass := func(done racelab.Choice) {
		step, known := r.latest[done]
		if !known {
			sleep = nil
			return
		}
		sleep = r.keep(sleep, step)
	}
	pass(last)
	return func(ready []racelab.Choice) racelab.Choice {
		var c racelab.Choice
		found := false
		for _, next := range ready {
			if next.Fault != racelab.NoFault || isAsleep(sleep, next) || found && next.Session != last.Session {
				continue
			}
			if !found || next.Session == last.Session {
				c, found = next, true
			}
			if c.Session == last.Session {
				break
			}
		}
		if !found {
			c = ready[0]
		}
		pass(c)
		last = c
		return c
	}
}

// asleep are the steps that sleep at a node while a choice is made there: those
// from above, and the choices that were made before it.
func (r *reduction) asleep(n *node, c racelab.Choice) []check.Step {
	sleep := slices.Clone(n.sleep)
	for _, t := range n.taken {
		if t.choice == c {
			break
		}
		if t.step != nil {
			sleep = append(sleep, *t.step)
		}
	}
	return sleep
}

// keep returns what still sleeps after a step.
func (r *reduction) keep(sleep []check.Step, done check.Step) []check.Step {
	var left []check.Step
	for _, z := range sleep {
		if z.Choice.Session != done.Choice.Session && !slices.Contains(done.Woke, z.Choice.Session) && !r.relation.MayDepend(&z, &done) {
			left = append(left, z)
		}
	}
	return left
}

func isAsleep(sleep []check.Step, c racelab.Choice) bool {
	return slices.ContainsFunc(sleep, func(z check.Step) bool { return z.Choice == c })
}

// ran reads the run of a branch.
func (r *reduction) ran(t todo, h racelab.History) {
	b := t.(branch)
	steps := r.relation.Steps(h)
	for _, s := range steps {
		if !s.Stuck {
			r.latest[s.Choice] = s
		}
	}
	switch {
	case r.relation.Learned() != r.learned:
		r.restart() // all runs have to be read again
		return
	case b.at.path()[0] != r.root:
		return // from before a restart
	}
	r.grow(&b, steps)
}

// grow adds the nodes of a run, and the branches that its races ask for.
func (r *reduction) grow(b *branch, steps []check.Step) {
	var nodes []*node
	if b == nil {
		if len(steps) == 0 || steps[0].Stuck {
			return
		}
		root := &node{ready: steps[0].Ready}
		r.root = root
		nodes = []*node{root}
		b = &branch{r, root, steps[0].Choice}
		r.take(root, steps[0].Choice)
		r.queue = r.queue[:0] // this run is it
	} else {
		nodes = b.at.path()
	}
	from := b.at.depth
	sleep := r.asleep(b.at, b.choice)
	end := len(steps)
	for k := from; k < len(steps) && !steps[k].Stuck; k++ {
		step := &steps[k]
		n := nodes[k]
		if k > from {
			// What sleeps has faults and other victims, which touch more and do not,
			// and other cases.
			for _, z := range sleep {
				for _, c := range z.Ready {
					if c.Session == z.Choice.Session && (c.Fault != racelab.NoFault || c.Victim != "") && c != z.Choice && !isAsleep(sleep, c) {
						r.add(n, c)
					}
				}
				for _, c := range step.Ready {
					if c.Session == z.Choice.Session && c.Case != z.Choice.Case && c.Fault == racelab.NoFault && !isAsleep(sleep, c) {
						r.add(n, c)
					}
				}
			}
			if isAsleep(sleep, step.Choice) {
				end = k
				for _, c := range step.Ready {
					if !isAsleep(sleep, c) && c.Fault == racelab.NoFault {
						r.add(n, c)
						break
					}
				}
				break
			}
			r.take(n, step.Choice)
		}
		for i := range n.taken {
			if n.taken[i].choice == step.Choice {
				n.taken[i].step = step
			}
		}
		r.variants(n, step)
		sleep = r.keep(sleep, *step)
		if k+1 < len(steps) && !steps[k+1].Stuck {
			nodes = append(nodes[:k+1], &node{parent: n, via: step.Choice, depth: k + 1, ready: steps[k+1].Ready, sleep: sleep})
		}
	}
	r.races(nodes, steps[:end])
}

// take notes that a choice is made at a node.
func (r *reduction) take(n *node, c racelab.Choice) {
	n.taken = append(n.taken, taken{choice: c})
}

// add queues a choice at a node, unless it has been made.
func (r *reduction) add(n *node, c racelab.Choice) {
	if slices.ContainsFunc(n.taken, func(t taken) bool { return t.choice == c }) {
		return
	}
	if c.Fault != racelab.NoFault && n.faults() >= r.faults {
		return
	}
	r.take(n, c)
	if n.shared {
		r.later = append(r.later, branch{r, n, c})
		return
	}
	r.queue = append(r.queue, branch{r, n, c})
}

// split keeps a part of what is to be run.
func (r *reduction) split(p Part) {
	var own []branch
	for i, b := range r.queue {
		for _, n := range b.at.path() {
			n.shared = true
		}
		if p.mine(i) {
			own = append(own, b)
		}
	}
	r.queue = own
}

func (n *node) faults() int {
	count := 0
	for ; n.parent != nil; n = n.parent {
		if n.via.Fault != racelab.NoFault {
			count++
		}
	}
	return count
}

// variants queues the faults and the other victims of a step: they are other
// steps of the same session, which no race asks for.
func (r *reduction) variants(n *node, step *check.Step) {
	for _, c := range step.Ready {
		if c.Session == step.Choice.Session && !c.Tick && c != step.Choice {
			r.add(n, c)
		}
	}
}

// races finds the pairs of steps that depend on each other with nothing in
// between that both depend on, and queues what reverses their order where
// nothing does so yet. What waits for ever at a run's end counts as a step that
// comes after everything: in the other order it may be let in. Pairs in what a
// run has in common with an earlier one are among them: what they touch may be
// another thing in view of what follows.
//
// What is in between may have freed the latch of a step, which then cannot come
// before that, but can before whoever took it; and who enables it here need not
// be who does elsewhere. So of a step with a latch all pairs count.
func (r *reduction) races(nodes []*node, steps []check.Step) {
	n := len(steps)
	before := make([]set, n)              // what happens before a step
	direct := make([][]int, n)            // the last links of that
	latest := map[racelab.SessionID]int{} // step that a session's next one follows
	for j := range steps {
		before[j] = newSet(n)
		s := steps[j].Choice.Session
		prev, has := latest[s]
		if has {
			direct[j] = append(direct[j], prev)
		}
		for i := range j {
			if steps[i].Choice.Session != s && !steps[i].Stuck && !(has && i == prev) && r.relation.Depends(&steps[i], &steps[j]) {
				direct[j] = append(direct[j], i)
			}
		}
		for _, i := range direct[j] {
			before[j].join(before[i])
			before[j].add(i)
		}
		latest[s] = j
		for _, w := range steps[j].Woke {
			latest[w] = j
		}
		enabler := -1
		for i := j - 1; i >= 0 && (!has || i > prev) && !steps[j].Stuck; i-- {
			if !slices.Contains(steps[i].Ready, plain(steps[j].Choice)) {
				enabler = i // it could not be made before this
				break
			}
		}
		for _, i := range direct[j] {
			if has && i == prev || i == enabler && !steps[j].Latched {
				continue
			}
			between := !steps[j].Latched && slices.ContainsFunc(direct[j], func(k int) bool { return k != i && k != enabler && before[k].has(i) })
			if !between {
				r.reverse(nodes[i], steps, before, i, j)
			}
		}
	}
}

// reverse queues a choice at the node before step i that leads to step j
// without it.
func (r *reduction) reverse(at *node, steps []check.Step, before []set, i, j int) {
	var rest []int // what does not happen after i, and j
	for k := i + 1; k < j; k++ {
		if !before[k].has(i) && !steps[k].Stuck {
			rest = append(rest, k)
		}
	}
	rest = append(rest, j)
	var initials []racelab.Choice
	for _, k := range rest {
		first := !slices.ContainsFunc(rest, func(m int) bool { return m < k && before[k].has(m) })
		if first {
			initials = append(initials, plain(steps[k].Choice))
		}
	}
	for _, c := range initials {
		if isAsleep(at.sleep, c) || slices.ContainsFunc(at.taken, func(t taken) bool { return plain(t.choice) == c }) {
			return
		}
	}
	best := initials[0]
	for _, c := range initials {
		if c.Session == steps[j].Choice.Session {
			best = c
		}
	}
	if !slices.Contains(at.ready, best) {
		if steps[j].Latched {
			return // something else has kept it out already
		}
		// It ought to be there; if it is not, everything else is tried.
		for _, c := range at.ready {
			r.add(at, c)
		}
		return
	}
	r.add(at, best)
}

// plain is a choice without what is only known when it is made, a victim, and
// without what differs from node to node, a case. Those are added as variants.
func plain(c racelab.Choice) racelab.Choice {
	c.Victim, c.Case = "", 0
	return c
}

// A set is of steps, by their positions.
type set []uint64

func newSet(n int) set { return make(set, (n+63)/64) }

func (s set) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s set) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }
func (s set) join(o set) {
	for i := range s {
		s[i] |= o[i]
	}
}
