package control

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/racelab/racelab"
)

// The answer to who waits comes late; what it was asked of may be over.
func TestAWaitIsOfTheOperationThatWasAskedAbout(t *testing.T) {
	var waits []Record
	r := NewRecorder(func(rec Record) {
		if rec.Event.Kind == racelab.Waiting {
			waits = append(waits, rec)
		}
	})
	enter := func() racelab.Op {
		op, _ := r.Enter(t.Context(), racelab.Op{Session: "A", Conn: "7", Kind: racelab.Exec})
		return op
	}
	first := enter()
	asked := r.slow(now() + 1)["7"]
	_ = r.Leave(t.Context(), first, racelab.Result{Class: racelab.OK})
	second := enter()
	at := now()
	r.wait(at, asked, racelab.Wait{Conn: "7"})
	if len(waits) != 0 {
		t.Errorf("recorded %+v, of an operation that has left", waits)
	}
	for range 2 {
		r.wait(at, r.slow(now() + 1)["7"], racelab.Wait{Conn: "7"})
	}
	if len(waits) != 1 || waits[0].Event.Op.Name() != second.Name() || waits[0].At != at {
		t.Errorf("recorded %+v, want one wait of %s", waits, second.Name())
	}
}

// A select of package mem is one of package reflect in free running. Where it
// waits is the line that calls it.
func TestASelectWaitsWhereItIsCalled(t *testing.T) {
	known, stop := make(chan routine), make(chan int)
	defer close(stop)
	go func() {
		known <- thisRoutine()
		reflect.Select([]reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(stop)}, {Dir: reflect.SelectRecv, Chan: reflect.ValueOf(stop)}})
	}()
	code := <-known
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		where := code.waits()
		if strings.Contains(where, "(select) at wait_test.go:") {
			return
		}
		if time.Since(began) > 5*time.Second {
			t.Fatalf("it %s", where)
		}
	}
}
