// Package models measures execution models against each other on this machine:
// goroutines, goroutines on one processor, and processes. They are the rows of
// the table in A. Divakaran and J. Adithyan, Tackling Thread Safety in Python
// (EuroPython 2024), as far as Go has them.
//
// Every model is asked the same tasks in the same way. What differs is how a
// worker starts and how a task comes to it: as a pointer, or as text.
package models
