package isolation

import "io"

// held keeps what is printed until it is known to hold.
type held struct {
	on   bool
	kept []said
}

type said struct {
	to   io.Writer
	text string
}

func (h *held) release() {
	for _, s := range h.kept {
		_, _ = io.WriteString(s.to, s.text) // whoever reads no more is not told more
	}
	h.forget()
}

func (h *held) forget() { h.on, h.kept = false, nil }

// A voice is a writer whose text may be held.
type voice struct {
	*held
	to io.Writer
}

func (v voice) Write(p []byte) (int, error) {
	if v.on {
		v.kept = append(v.kept, said{v.to, string(p)})
		return len(p), nil
	}
	return v.to.Write(p)
}
