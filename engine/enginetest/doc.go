// Package enginetest is the one conformance suite that every SQL engine passes.
//
// An engine's test is a call of Run with the engine and a Dialect: the few
// snippets of SQL that no other part of the project needs, and what the
// engine's manual says each level lets happen. The suite never asks for an
// engine's name: what differs is data.
//
// No test here sleeps in order that something may have happened. Waiting for a
// lock is asked from the engine until it says so or patience ends.
package enginetest
