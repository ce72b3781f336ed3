package racelab_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/racelab/racelab"
)

func choices() *rapid.Generator[racelab.Choice] {
	return rapid.Custom(func(t *rapid.T) racelab.Choice {
		c := racelab.Choice{
			Session: racelab.Letter(rapid.IntRange(0, 800).Draw(t, "session")),
			Step:    rapid.IntRange(1, 99).Draw(t, "step"),
		}
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			return racelab.Choice{Tick: true}
		case 1:
			c.Victim = racelab.Letter(rapid.IntRange(0, 30).Draw(t, "victim"))
		case 3:
			c.Case = rapid.IntRange(1, 20).Draw(t, "case")
		case 2:
			c.Fault = rapid.SampledFrom([]racelab.Fault{racelab.DropBefore, racelab.DropAfter}).Draw(t, "fault")
		}
		return c
	})
}

func TestASchedulesTextIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := racelab.Schedule(rapid.SliceOf(choices()).Draw(t, "schedule"))
		got, err := racelab.ParseSchedule(want.String())
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() || len(got) != len(want) {
			t.Fatalf("%q was read as %q", want, got)
		}
	})
}

func TestParseSchedule(t *testing.T) {
	got, err := racelab.ParseSchedule("  A1\tB1 A4(drop  after)B3( victim A )\n tick AA12 Aab1 C2(case 3)")
	if err != nil {
		t.Fatal(err)
	}
	want := racelab.Schedule{
		{Session: "A", Step: 1}, {Session: "B", Step: 1}, {Session: "A", Step: 4, Fault: racelab.DropAfter},
		{Session: "B", Step: 3, Victim: "A"}, {Tick: true}, {Session: "AA", Step: 12}, {Session: "Aab", Step: 1}, {Session: "C", Step: 2, Case: 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("schedule (-want +got):\n%s", diff)
	}
	if n := got.Switches(); n != 6 {
		t.Errorf("%d switches, want 6", n)
	}
	for _, bad := range []string{"A", "1", "A0", "a1", "A-1", "A1(", "A1()", "A1(drop)", "A1(victim)", "A1(victim 7)", "A1(case)", "A1(case 1)", "A1(case -2)", "A1(case 02)", "A1(case x)", "tick(x)", "A1;B1", "aA1", "AaA1", "A99999999999999999999", "Ä1", "A1 \x00"} {
		if s, err := racelab.ParseSchedule(bad); err == nil {
			t.Errorf("%q was read as %v", bad, s)
		}
	}
}

func FuzzParseSchedule(f *testing.F) {
	f.Add("A1 B1 A4(drop after) B3(victim A) tick")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := racelab.ParseSchedule(text)
		if err != nil {
			return
		}
		if again, err := racelab.ParseSchedule(s.String()); err != nil || again.String() != s.String() {
			t.Errorf("%q gives %q, which gives %q (%v)", text, s, again, err)
		}
	})
}
