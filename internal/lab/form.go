package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"strings"
)

// mostFields bounds a form, as the reference does.
const mostFields = 1000

var errTooManyFields = fmt.Errorf("the form has more than %d fields", mostFields)

// fields reads a form's fields from a request's body; of a repeated one the
// last counts. It reads as the reference does, which is more lenient than
// net/http about percent signs and stricter about the content type. A body of
// another type has no fields.
func fields(contentType string, body []byte) (map[string]string, error) {
	kind, _, _ := strings.Cut(contentType, ";")
	switch strings.TrimSpace(kind) {
	case "application/x-www-form-urlencoded":
		return urlencoded(string(body))
	case "multipart/form-data":
		return parts(contentType, body)
	}
	return nil, nil
}

func urlencoded(body string) (map[string]string, error) {
	found := map[string]string{}
	if strings.Count(body, "&") >= mostFields {
		return nil, errTooManyFields
	}
	for field := range strings.SplitSeq(body, "&") {
		if field != "" {
			name, value, _ := strings.Cut(field, "=")
			found[unquote(name)] = unquote(value)
		}
	}
	return found, nil
}

// unquote decodes + and %XX, and leaves a percent sign that begins no code.
func unquote(s string) string {
	s = strings.ReplaceAll(s, "+", " ")
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high, ok1 := hex(s[i+1])
			low, ok2 := hex(s[i+2])
			if ok1 && ok2 {
				b.WriteByte(high<<4 | low)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func hex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// parts reads the fields of a multipart form. Files are no fields.
func parts(contentType string, body []byte) (map[string]string, error) {
	_, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, fmt.Errorf("read the form's type: %w", err)
	}
	found := map[string]string{}
	reader := multipart.NewReader(bytes.NewReader(body), parameters["boundary"])
	for n := 0; ; n++ {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the form: %w", err)
		}
		if n == mostFields {
			return nil, errTooManyFields
		}
		_, disposition, _ := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		if _, isFile := disposition["filename"]; isFile || part.FormName() == "" {
			continue
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, fmt.Errorf("read the form: %w", err)
		}
		found[part.FormName()] = string(value)
	}
}

// A paying is what a deposit's form asks for.
type paying struct{ account, amount int64 }

// errNoAccount says that the form names an account that no table can hold.
var errNoAccount = errors.New("there is no such account")

// readPaying reads the contract's two fields. An amount that no column can hold
// is brought down to one that is still too large, so that it fails where the
// reference fails, in the database.
func readPaying(form map[string]string) (paying, error) {
	for _, name := range []string{"account", "amount"} {
		if _, ok := form[name]; !ok {
			return paying{}, fmt.Errorf("the form has no field %s", name)
		}
	}
	account, err := whole(form["account"])
	if err != nil {
		return paying{}, fmt.Errorf("account is %s", err)
	}
	amount, err := whole(form["amount"])
	if err != nil {
		return paying{}, fmt.Errorf("amount is %s", err)
	}
	if amount < 0 {
		return paying{}, errors.New("amount is negative")
	}
	if account < math.MinInt32 || account > math.MaxInt32 {
		return paying{}, errNoAccount
	}
	return paying{account, min(amount, math.MaxInt32+1)}, nil
}
