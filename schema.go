package racelab

// A Schema is what a database knows of its tables, as far as it says which
// rows statements touch.
type Schema struct {
	Tables []TableSchema
}

// A TableSchema describes one table. Names are in lower case.
type TableSchema struct {
	Name string
	// Integers are the columns of whole numbers: of others it is not known
	// which values are the same.
	Integers   []string
	Generated  []string   // the columns whose values the database makes up
	Unique     [][]string // the columns of each unique key, the primary key first
	Primary    bool       // the first of them is the primary key
	References []Reference
	// Heap says that rows lie in the order in which they were written, and come
	// in it where no other is asked for; it is not said where locks keep writes
	// of one table apart anyway.
	Heap bool
	// Hidden says that statements touch more than they name: the table has
	// triggers or rules, or is a view.
	Hidden bool
}

// A Reference is a foreign key.
type Reference struct {
	Columns []string
	Table   string   // that is referred to
	To      []string // its columns, in the order of Columns
}

// Table returns the table of that name, and whether there is one.
func (s Schema) Table(name string) (TableSchema, bool) {
	for _, t := range s.Tables {
		if t.Name == name {
			return t, true
		}
	}
	return TableSchema{}, false
}

// An Isolation is what a level does with what statements read and write: what
// has to be known to tell which of them may be exchanged.
type Isolation struct {
	// Snapshot is what a plain read sees.
	Snapshot Snapshot
	// ReadsLock says that plain reads in a transaction lock what they read.
	ReadsLock bool
	// Checked says that reads and writes of all transactions are checked
	// against each other (serializable snapshot isolation).
	Checked bool
	// OneWriter says that there is one lock, of the whole database.
	OneWriter bool
	// Ranges says that what is searched for by anything but the unique key of
	// a row that exists locks more than the rows that are found.
	Ranges bool
}

// A Snapshot is the state of the database that a plain read sees.
type Snapshot uint8

const (
	OfStatement   Snapshot = iota // what was committed when the statement began
	OfTransaction                 // what was committed when the transaction's first statement began
	Dirty                         // whatever is there
)
