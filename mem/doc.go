// Package mem is shared memory for scenarios: what threads of one process have
// in common, and what keeps them apart.
package mem
