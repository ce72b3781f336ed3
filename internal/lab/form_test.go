package lab

import (
	"errors"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

const boundary = "multipart/form-data; boundary=x"

// multi writes a multipart body of alternating names and values.
func multi(fields ...string) string {
	var b strings.Builder
	for i := 0; i < len(fields); i += 2 {
		b.WriteString("--x\r\nContent-Disposition: form-data; name=\"" + fields[i] + "\"\r\n\r\n" + fields[i+1] + "\r\n")
	}
	return b.String() + "--x--\r\n"
}

func TestFieldsAreReadAsTheReferenceReadsThem(t *testing.T) {
	for _, c := range []struct {
		name, kind, body string
		want             map[string]string
	}{
		{"simple", urlencodedType, "account=1&amount=5", map[string]string{"account": "1", "amount": "5"}},
		{"with a charset", urlencodedType + "; charset=utf-8", "a=1", map[string]string{"a": "1"}},
		{"the last of repeated fields", urlencodedType, "a=1&a=2&b=&a=3", map[string]string{"a": "3", "b": ""}},
		{"a name without =", urlencodedType, "a=1&a", map[string]string{"a": ""}},
		{"codes", urlencodedType, "a%3D=%2b5+%E2%82%AC", map[string]string{"a=": "+5 €"}},
		{"percent signs that begin no code", urlencodedType, "a=%zz%4&b=%", map[string]string{"a": "%zz%4", "b": "%"}},
		{"a semicolon separates nothing", urlencodedType, "a=1;b=2", map[string]string{"a": "1;b=2"}},
		{"nothing", urlencodedType, "&&", map[string]string{}},
		{"no type", "", "a=1", nil},
		{"JSON", "application/json", `{"a":1}`, nil},
		{"another case", "Application/X-WWW-Form-URLEncoded", "a=1", nil},
		{"multipart", boundary, multi("a", "1", "b", "", "a", "2"), map[string]string{"a": "2", "b": ""}},
		{"no part", boundary, "", map[string]string{}},
		{"another boundary", boundary, strings.ReplaceAll(multi("a", "1"), "--x", "--y"), map[string]string{}},
		{"a file is no field", boundary,
			"--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"f\"\r\n\r\n1\r\n" + multi("b", "2"), map[string]string{"b": "2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := fields(c.kind, []byte(c.body))
			if err != nil || !maps.Equal(got, c.want) {
				t.Errorf("%q gives %q, %v; want %q", c.body, got, err, c.want)
			}
		})
	}
	for name, c := range map[string][2]string{
		"no boundary":         {"multipart/form-data", multi("a", "1")},
		"cut off":             {boundary, "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1"},
		"too many fields":     {urlencodedType, strings.Repeat("a=1&", mostFields)},
		"too many parts":      {boundary, multi(strings.Split(strings.Repeat("a,1,", mostFields)+"a,1", ",")...)},
		"a broken media type": {`multipart/form-data; boundary="`, multi("a", "1")},
	} {
		if got, err := fields(c[0], []byte(c[1])); err == nil {
			t.Errorf("%s: %q; want an error", name, got)
		}
	}
}

// FuzzContract looks for a form that makes the contract's reading panic, take
// what it must not, or differ from net/url where that reads the same language.
func FuzzContract(f *testing.F) {
	for _, body := range []string{
		"account=1&amount=100", "account=1&amount=%2B5", "account=+1+&amount=+5+", "amount=5&amount=-5&account=1",
		"account=1&amount=5%00", "account=99999999999999999999&amount=5", "account=1&amount=1_0", "account=1;amount=5", "%=%&&=", "",
	} {
		f.Add(urlencodedType, body)
	}
	f.Add(boundary, multi("account", "1", "amount", "5"))
	f.Add(boundary, multi("account", "1", "amount", "5", "amount", ""))
	f.Add("application/json", `{"account":1,"amount":5}`)
	f.Fuzz(func(t *testing.T, kind, body string) {
		form, err := fields(kind, []byte(body))
		if err != nil {
			return
		}
		if kind == urlencodedType {
			if values, err := url.ParseQuery(body); err == nil {
				if len(values) != len(form) {
					t.Fatalf("%q has %d fields and not %d", body, len(form), len(values))
				}
				for name, all := range values {
					if form[name] != all[len(all)-1] {
						t.Fatalf("%q: %s is %q and not %q", body, name, form[name], all)
					}
				}
			}
		}
		p, err := readPaying(form)
		if err != nil {
			if n, plain := strconv.ParseInt(form["amount"], 10, 32); plain == nil && n >= 0 && !errors.Is(err, errNoAccount) {
				if _, plain := strconv.ParseInt(form["account"], 10, 32); plain == nil {
					t.Fatalf("%q is refused: %v", form, err)
				}
			}
			return
		}
		if p.amount < 0 || p.amount > 1<<31 || p.account < -1<<31 || p.account >= 1<<31 {
			t.Fatalf("%q gives %+v", form, p)
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(form["amount"]), 10, 64); err == nil && p.amount != min(n, 1<<31) {
			t.Fatalf("amount %q is %d", form["amount"], p.amount)
		}
	})
}
