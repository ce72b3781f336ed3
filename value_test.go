package racelab_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/racelab/racelab"
)

func TestAHistorysTextHoldsNoTime(t *testing.T) {
	text := func(at time.Time) string {
		v := racelab.ValueOf(at)
		b, err := json.Marshal(racelab.History{
			Events: []racelab.Event{{
				Op: racelab.Op{Args: []any{v}}, Kind: racelab.Left,
				Result: racelab.Result{Rows: &racelab.Table{Rows: [][]racelab.Value{{v}}}, Value: v},
			}},
			Final: racelab.State{{Rows: [][]racelab.Value{{v}}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if a, b := text(time.Unix(1, 0)), text(time.Unix(2, 0)); a != b {
		t.Errorf("%s\n%s", a, b)
	}
}

func TestAKeyIsKept(t *testing.T) {
	if got := racelab.ValueOf(racelab.Key{Of: "users.id", Value: 7}); got != (racelab.Key{Of: "users.id", Value: int64(7)}) {
		t.Errorf("%#v", got)
	}
	if text, err := json.Marshal(racelab.Key{Of: "users.id", Value: int64(7)}); err != nil || string(text) != "7" {
		t.Errorf("%s, %v", text, err)
	}
}
