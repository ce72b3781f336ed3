package explore

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestADamagedFrontierIsNotRead(t *testing.T) {
	f := part("")
	f.Report.Schedules = 12
	text, err := f.Text()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFrontier(text); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFrontier([]byte(strings.Replace(string(text), ":12,", ":13,", 1))); err == nil {
		t.Error("a count was changed, and nobody minds")
	}
	for i := range text {
		for bit := range 8 {
			damaged := append([]byte{}, text...)
			damaged[i] ^= 1 << bit
			got, err := ReadFrontier(damaged)
			if err != nil {
				continue
			}
			a, _ := json.Marshal(got)
			if string(a) != string(text) {
				t.Fatalf("%s is read as %s", damaged, a)
			}
		}
	}
}
