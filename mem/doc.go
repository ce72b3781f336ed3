// Package mem is shared memory for scenarios: what threads of one process have
// in common, and what keeps them apart.
//
//	Var, Atomic                      values
//	Mutex, RWMutex, ReentrantMutex   locks
//	Semaphore, Event, Cond, Barrier  what else is waited for
//	Once, WaitGroup                  the beginning, and the end
//	Chan, Select                     channels
//	Output                           what is printed
//	Go, Sleep, Gosched               sessions and time
//
// Values are made in a racelab.Memory, with a name that histories and pictures
// show. With a nil memory, or one without a gate, they are Go's own, or built
// of Go's own where Go has none, and nothing is recorded: the same code runs in
// a program, and under go test -race.
//
// Under control each operation is a step of its session, or two where it may
// have to be met or woken by another one: its documentation says so. A session
// that would have to wait is not let in. What would end a Go program, as to
// unlock what is not locked, ends the session and is a finding, with the
// message that Go has for it.
//
// Some of that Go lets a program recover from: to send to a closed channel or
// close it again, and a WaitGroup's count below 0. Under control it does not.
// The session's functions return, those that are deferred are called, and
// whatever they do here panics as well: nothing more of that session is a step,
// and what it has locked stays locked.
//
// What is done before the first session begins, in the function that makes what
// they share, is no step. It may neither wait nor start a session. All values
// belong there: of those with one name that sessions make themselves, the
// numbers go by who comes first, so that another schedule has others.
//
// Goroutines that use values are started with Go, or WaitGroup.Go. One that is
// not is no session, and control is lost where it is noticed: in the first run,
// in all serial ones, when another run is looked at again, and when it comes
// after its run. To look at each step would take longer than the step. One that
// is started, and ends, in some other schedules only is taken for the session
// that runs.
//
// The order in which Go lets those go on who wait for the same is not kept,
// where no program can tell. Where one can, it is Go's: a writer that waits
// keeps readers out, and Signal wakes who has waited longest.
package mem
