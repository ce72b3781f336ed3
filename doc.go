// Package racelab holds the nouns of a laboratory for race conditions.
//
// Every session passes its operations through one gate. Whoever opens the gate
// decides the order, and that order is a schedule. A run of a scenario in a
// world under a schedule yields one history; a history gets one verdict; a run
// has one picture.
//
// The words, each defined in the file of its name:
//
//   - scenario: an exhibit: shared data, a cast of sessions, what must hold;
//     strategy: one way to write it.
//   - session: what is scheduled (A, B, C); call: one invocation in a session,
//     which is what is judged; connection: what waits in an engine.
//   - operation: what happens between two gates; A1 is session A's first.
//   - engine, server, world: a database product, one instance of it, and one
//     database of it opened for a run.
//   - history: what happened, in order; verdict: what that proves.
//
// This package imports the standard library only. Engines, scenarios and users'
// own code are values of these types, so none of them knows another.
package racelab
