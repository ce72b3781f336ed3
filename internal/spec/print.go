package spec

import (
	"strconv"
	"strings"
)

// String prints the file: what Parse makes of it is s again.
func (s *Spec) String() string {
	var out printer
	for _, claim := range s.Invariants {
		out.WriteString(claim.String() + "\n")
	}
	for _, sql := range s.Setups {
		out.block("setup", &sql)
	}
	out.block("teardown", s.Teardown)
	for i, session := range s.Sessions {
		if i > 0 || out.Len() > 0 {
			out.WriteByte('\n')
		}
		out.WriteString("session " + nameText(session.Name) + "\n")
		out.block("setup", session.Setup)
		for _, step := range session.Steps {
			out.block("step "+nameText(step.Name), &step.SQL)
		}
		out.block("teardown", session.Teardown)
	}
	if len(s.Permutations) > 0 {
		out.WriteByte('\n')
	}
	for _, p := range s.Permutations {
		out.WriteString(p.String() + "\n")
	}
	return out.String()
}

type printer struct{ strings.Builder }

func (p *printer) block(head string, sql *string) {
	switch {
	case sql == nil:
	case strings.HasPrefix(*sql, "\n"):
		p.WriteString(head + "\n{" + *sql + "}\n")
	default:
		p.WriteString(head + " { " + *sql + " }\n")
	}
}

// String prints the permutation's line.
func (p Permutation) String() string {
	var out strings.Builder
	out.WriteString("permutation")
	for _, s := range p {
		out.WriteString(" " + s.String())
	}
	return out.String()
}

func (s Scheduled) String() string {
	if len(s.Markers) == 0 {
		return nameText(s.Step)
	}
	var markers []string
	for _, m := range s.Markers {
		markers = append(markers, m.String())
	}
	return nameText(s.Step) + "(" + strings.Join(markers, ", ") + ")"
}

func (m Marker) String() string {
	switch m.Kind {
	case Once:
		return "*"
	case AfterNotices:
		return nameText(m.Step) + " notices " + strconv.Itoa(m.Notices)
	}
	return nameText(m.Step)
}

// nameText puts a name in quotes if it needs them.
func nameText(s string) string {
	plain := s != "" && begins(s[0]) && !keyword(s)
	for i := 1; i < len(s); i++ {
		plain = plain && continues(s[i])
	}
	if plain {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}
