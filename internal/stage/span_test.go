package stage

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestParseSpanReads(t *testing.T) {
	for text, want := range map[string]Span{
		"300ms":       {300 * time.Millisecond, 300 * time.Millisecond},
		"300ms..1s":   {300 * time.Millisecond, time.Second},
		"3s..10s":     {3 * time.Second, 10 * time.Second},
		"0.3":         {300 * time.Millisecond, 300 * time.Millisecond},
		".5..1":       {500 * time.Millisecond, time.Second},
		"0":           {},
		"0s":          {},
		"0.1 .. 0.2":  {100 * time.Millisecond, 200 * time.Millisecond},
		"2s..2s":      {2 * time.Second, 2 * time.Second},
		"1h":          {time.Hour, time.Hour},
		"3600":        {time.Hour, time.Hour},
		"1m30s..1.5m": {90 * time.Second, 90 * time.Second},
	} {
		if got, err := ParseSpan(text); err != nil || got != want {
			t.Errorf("ParseSpan(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestParseSpanRefuses(t *testing.T) {
	for _, text := range []string{
		"", "..", "1s..", "..1s", "10s..3s", "-1", "-1s", "-0.5..1", "1s..-2s", "NaN", "nan..1", "Inf", "+Inf", "-Inf", "1e9",
		"0x10", "1_000", "1h1ns", "3601", "99999999999999999999", "1s...2s", "1..2..3", "soon", "1 2", "5\x00", "٣", "1.2.3", "+5",
	} {
		if got, err := ParseSpan(text); err == nil {
			t.Errorf("ParseSpan(%q) = %v; want an error", text, got)
		}
	}
}

func FuzzParseSpan(f *testing.F) {
	for _, s := range []string{"300ms..1s", "0.3", "1h", "NaN", "-1", "10s..3s", "1e9", ".", "1..", "0.0000000001"} {
		f.Add(s)
	}
	random := rand.New(rand.NewPCG(1, 2))
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSpan(text)
		if err != nil {
			return
		}
		if s.Min < 0 || s.Max < s.Min || s.Max > time.Hour {
			t.Fatalf("ParseSpan(%q) = %v", text, s)
		}
		if d := s.Draw(random); d < s.Min || d > s.Max {
			t.Fatalf("%v drew %v", s, d)
		}
		again, err := ParseSpan(s.String())
		if err != nil || again != s {
			t.Fatalf("%q prints as %q, which reads as %v, %v", text, s, again, err)
		}
	})
}

func TestParseDurationRoundsSecondsDown(t *testing.T) {
	got, err := ParseDuration("0.1")
	if err != nil || math.Abs(float64(got-100*time.Millisecond)) > 1 {
		t.Fatalf("0.1 is %v, %v", got, err)
	}
}
