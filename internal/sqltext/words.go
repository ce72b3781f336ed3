package sqltext

import (
	"sync"
	"sync/atomic"
)

// Words is Tokens for who asks about the same few texts again and again. What
// it returns is shared, and not to be changed.
func Words(text string) []Token {
	if t, ok := words.Load(text); ok {
		return t.([]Token)
	}
	t := Tokens(text)
	if kept.Add(1) <= keepAtMost {
		words.Store(text, t)
	}
	return t
}

// keepAtMost is for programs that write their values into the text: what comes
// later is read each time.
const keepAtMost = 2000

var (
	words sync.Map // of []Token by text
	kept  atomic.Int64
)
