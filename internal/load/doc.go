// Package load sends concurrent requests over HTTP and judges what they left
// in the lab's ledger.
//
// Three things are kept apart that are easily mixed: a request that failed (it
// surely did nothing, or the server says so), one that is unknown (nobody can
// say yet, as with a connection that was reset), and one that was never sent.
// The ledger turns unknown ones into known ones where it can.
package load
