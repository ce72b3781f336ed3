package racelab

import "context"

type placeKey struct{}

// At returns a context whose operations are shown as being at a place of the
// session's own, instead of where its Go code is.
func At(ctx context.Context, place string) context.Context {
	return context.WithValue(ctx, placeKey{}, place)
}

// Place returns what At has said, or "".
func Place(ctx context.Context) string {
	place, _ := ctx.Value(placeKey{}).(string)
	return place
}

// A Gate is what every operation of every session passes. It has two halves,
// because an engine may finish several operations at once (one COMMIT frees
// three waiting sessions) while a schedule lets one session go on at a time.
type Gate interface {
	// Enter returns when op may be given to the engine, with what the gate
	// knows of it filled in: its call and its step number, the fault that is to
	// happen to it, and whether it is to lose a deadlock. An error ends the
	// operation unrun.
	Enter(ctx context.Context, op Op) (Op, error)
	// Leave returns when the session may see the result.
	Leave(ctx context.Context, op Op, r Result) error
}
