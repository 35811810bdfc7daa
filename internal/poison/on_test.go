//go:build poison

package poison

import (
	"bytes"
	"testing"
)

func TestLoan(t *testing.T) {
	var l Loan
	scratch := []byte("one")
	one := l.Lend(scratch)
	if string(one) != "one" {
		t.Fatalf("%q was lent", one)
	}
	copy(scratch, "two")
	two := l.Lend(scratch)
	if string(two) != "two" || !poisoned(one) {
		t.Errorf("after the second loan: %q and %q", one, two)
	}
	if l.End(); !poisoned(two) {
		t.Errorf("after the last one: %q", two)
	}
}

func TestAround(t *testing.T) {
	record := []byte("header data tag")
	data := record[7:11]
	Around(record, data)
	if string(data) != "data" || !poisoned(record[:7]) || !poisoned(record[11:]) {
		t.Errorf("%q", record)
	}
	if Around(record, nil); !poisoned(record) {
		t.Errorf("without data: %q", record)
	}
}

func poisoned(b []byte) bool { return len(bytes.Trim(b, "\xdb")) == 0 }
