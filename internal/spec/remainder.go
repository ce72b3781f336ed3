package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// What may remain of a statement is read from its first word. Of what is not
// known the most does: then each run has a database of its own, which is slow
// and right.

// changesRows are statements that change nothing but rows and counters, and what
// ends with their transaction.
var changesRows = words(`SELECT INSERT UPDATE DELETE REPLACE MERGE WITH VALUES TABLE TRUNCATE SHOW EXPLAIN
	BEGIN START COMMIT END ROLLBACK ABORT SAVEPOINT RELEASE NOTIFY`)

// changesSettings are statements that change what their connection knows.
var changesSettings = words(`SET RESET LISTEN UNLISTEN DISCARD PREPARE EXECUTE DEALLOCATE USE LOCK UNLOCK DECLARE FETCH MOVE CLOSE`)

// changesSchema are statements after which others may make sense that made none
// before, or the other way round.
var changesSchema = words(`CREATE ALTER DROP RENAME DO CALL SELECT WITH`)

// harmless are what may stand before a bracket without being a function that
// does more than to compute.
var harmless = words(`COUNT SUM MIN MAX AVG COALESCE NULLIF IFNULL GREATEST LEAST ABS MOD ROUND LENGTH LOWER UPPER CONCAT SUBSTR SUBSTRING CAST NOW NEXTVAL
	VALUES IN EXISTS AND OR NOT AS ON USING FROM WHERE SELECT RETURNING CONFLICT BY ANY ALL SOME OVER WHEN THEN ELSE KEY SET ROW FILTER GENERATE_SERIES`)

func words(list string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(list) {
		set[w] = true
	}
	return set
}

func (m message) remains() racelab.Remainder {
	most := racelab.RemainsNothing
	for _, statement := range m.statements {
		most = max(most, remainderOf(sqltext.Words(statement)))
	}
	return most
}

// changes reports whether what other messages mean may depend on this one.
func (m message) changes() bool {
	return slices.ContainsFunc(m.statements, func(statement string) bool {
		tokens := sqltext.Words(statement)
		return remainderOf(tokens) == racelab.RemainsInSchema && changesSchema[strings.ToUpper(tokens[0].Text)]
	})
}

func remainderOf(tokens []sqltext.Token) racelab.Remainder {
	first := strings.ToUpper(tokens[0].Text)
	second := func(keywords ...string) bool {
		return len(tokens) > 1 && slices.ContainsFunc(keywords, tokens[1].Is)
	}
	switch {
	case first == "SET" && second("LOCAL"), first == "LOCK" && second("TABLE", "ONLY"): // PostgreSQL's, of a transaction
		return racelab.RemainsNothing
	case changesSettings[first], first == "CREATE" && second("TEMP", "TEMPORARY"):
		return racelab.RemainsInConns
	case !changesRows[first]:
		return racelab.RemainsInSchema
	}
	most := racelab.RemainsNothing
	for i, t := range tokens[1:] { // tokens[i] is the one before
		writes := tokens[i].Is("INSERT") || tokens[i].Is("REPLACE") || tokens[i].Is("MERGE") || tokens[i].Is("IGNORE")
		switch {
		case t.Is("INTO") && first != "INSERT" && first != "REPLACE" && first != "MERGE" && !writes:
			return racelab.RemainsInSchema // SELECT INTO makes a table
		case t.Text == "(" && tokens[i].Kind <= sqltext.Name && !(i > 0 && tokens[i-1].Is("INTO")) &&
			(tokens[i].Kind == sqltext.Name || !harmless[strings.ToUpper(tokens[i].Text)]):
			most = racelab.RemainsInConns // a function may take a lock, or change a setting
		case t.Text == "@":
			most = racelab.RemainsInConns // MySQL's variables are set in passing
		}
	}
	return most
}

// remainderOfSetups says what may remain when the objects of a set-up are used: a
// statement that uses them does not say so. A routine may change a setting, and
// a connection keeps numbers of a sequence that has a cache.
func remainderOfSetups(setups []string) racelab.Remainder {
	most := racelab.RemainsNothing
	for _, text := range setups {
		if slices.ContainsFunc(sqltext.Words(text), func(t sqltext.Token) bool { return t.Is("CACHE") }) {
			most = racelab.RemainsInConns
		}
	}
	for _, tokens := range routines(setups) {
		most = racelab.RemainsInConns
		for i, t := range tokens {
			calls := i+1 < len(tokens) && (tokens[i+1].Is("FUNCTION") || tokens[i+1].Is("PROCEDURE")) // a trigger's
			if t.Is("ALTER") || t.Is("DROP") || t.Is("CREATE") || t.Is("EXECUTE") && !calls {
				return racelab.RemainsInSchema
			}
		}
	}
	return most
}

// followable refuses what would make it unclear which transaction a statement is
// in, or outlive everything.
func followable(messages []message) error {
	open := false
	for _, m := range messages {
		for _, statement := range m.statements {
			tokens := sqltext.Words(statement)
			if why := outside(tokens); why != "" {
				return fmt.Errorf("%s: %s", m.place(), why)
			}
			second := func(keyword string) bool { return len(tokens) > 1 && tokens[1].Is(keyword) }
			switch first := tokens[0]; {
			case first.Is("PREPARE") && second("TRANSACTION"), first.Is("XA"):
				return fmt.Errorf("%s: a prepared transaction outlives its session, and is not judged", m.place())
			case first.Is("SET") && slices.ContainsFunc(tokens, func(t sqltext.Token) bool { return strings.EqualFold(t.Inside(), "autocommit") }):
				return fmt.Errorf("%s: say BEGIN instead of changing autocommit: else it is not seen where a transaction begins", m.place())
			case first.Is("SAVEPOINT") && !open:
				return fmt.Errorf("%s: SAVEPOINT stands outside a transaction: say BEGIN before", m.place())
			}
			switch kindOf(tokens) {
			case beginning:
				open = true
			case committing, rollingBack:
				open = chains(tokens)
			}
		}
	}
	return nil
}

// outside says why a statement is refused because it is about more than the
// database: "" if it is not.
func outside(tokens []sqltext.Token) string {
	has := func(keywords ...string) bool {
		return slices.ContainsFunc(keywords, func(k string) bool {
			return slices.ContainsFunc(tokens, func(t sqltext.Token) bool { return t.Is(k) })
		})
	}
	switch {
	case len(tokens) == 0:
	case tokens[0].Is("ATTACH"), tokens[0].Is("VACUUM") && has("INTO"):
		return "this reaches a file beside the database, which is not racelab's"
	case tokens[0].Is("COPY") && has("STDIN"):
		return "nobody gives a COPY its data here: use INSERT"
	}
	return ""
}
