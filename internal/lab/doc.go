// Package lab is the laboratory over HTTP: one front, which people and programs
// talk to, and real worker processes behind it, each of which serves one
// request at a time, as a web server in front of gunicorn's sync workers does.
//
// The front never runs a strategy. It keeps the queue and the time limits,
// replaces workers, and answers what concerns the laboratory itself from its
// own connection, so that this works also when every worker hangs. A worker is
// the same executable again; it is told everything in one message on its
// standard input, because the address of its database may hold a password, and
// ends when that input ends, so that it cannot outlive the front.
package lab
