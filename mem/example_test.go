package mem_test

import (
	"fmt"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

// A program's values are made in a memory. With a nil one they are Go's own,
// and the same code runs under go test -race.
func Example() {
	var memory *racelab.Memory
	accounts := mem.NewMutex(memory, "accounts")
	balance := mem.NewVar(memory, "balance", 0)
	requests := mem.NewWaitGroup(memory, "requests")
	for range 3 {
		requests.Go(func() {
			accounts.Lock()
			defer accounts.Unlock()
			balance.Store(balance.Load() + 100)
		})
	}
	requests.Wait()
	fmt.Println(balance.Load())
	// Output: 300
}

func ExampleAdd() {
	hits := mem.NewAtomic(nil, "hits", int64(40))
	fmt.Println(mem.Add(hits, 2), hits.CompareAndSwap(42, 0), hits.Load())
	// Output: 42 true 0
}

func ExampleChan() {
	jobs := mem.NewChan[int](nil, "jobs", 2)
	jobs.Send(1)
	jobs.Send(2)
	jobs.Close()
	for {
		job, open := jobs.Recv()
		if !open {
			break
		}
		fmt.Println(job)
	}
	// Output:
	// 1
	// 2
}

func ExampleSelect() {
	jobs, quit := mem.NewChan[string](nil, "jobs", 1), mem.NewChan[bool](nil, "quit", 0)
	jobs.Send("a job")
	var job string
	switch mem.Select(nil, jobs.Receiving(&job, nil), quit.Receiving(nil, nil)) {
	case 0:
		fmt.Println("did", job)
	case 1:
		fmt.Println("no more")
	}
	// Output: did a job
}

func ExampleReentrantMutex() {
	account := mem.NewReentrantMutex(nil, "account")
	balance := mem.NewVar(nil, "balance", 0)
	update := func(owner any, amount int) {
		account.Lock(owner)
		defer account.Unlock(owner)
		balance.Store(balance.Load() + amount)
	}
	deposit := func(owner any, amount int) {
		account.Lock(owner)
		defer account.Unlock(owner)
		update(owner, amount) // a Mutex would wait for itself here
	}
	deposit("request 1", 100)
	fmt.Println(balance.Load())
	// Output: 100
}

func ExampleCond() {
	guard := mem.NewMutex(nil, "guard")
	filled := mem.NewCond(nil, "filled", guard)
	queue := mem.NewVar(nil, "queue", 0)
	mem.Go(nil, func() {
		guard.Lock()
		defer guard.Unlock()
		queue.Store(1)
		filled.Signal()
	})
	guard.Lock()
	defer guard.Unlock()
	for queue.Load() == 0 {
		filled.Wait()
	}
	fmt.Println(queue.Load())
	// Output: 1
}

func ExampleOutput_Print() {
	out := mem.NewOutput(nil, "out")
	out.Print("printing from A", " | the end of A\n") // others may print in between
	fmt.Print(out)
	// Output: printing from A | the end of A
}
