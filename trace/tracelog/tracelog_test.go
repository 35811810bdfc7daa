package tracelog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/trace"
	"github.com/hermetic-tls/hermetic/trace/tracelog"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func Example() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, nil))
	tell := tracelog.New(logger) // for Config.Trace
	tell(trace.Event{Time: now, Conn: 1, Side: trace.Client, Data: &trace.Failed{Alert: "unknown_ca", Received: true, Cause: "the peer sent unknown_ca"}})
	// Output: time=2026-11-01T12:00:00.000Z level=WARN msg=connection_failed conn=1 side=client alert=unknown_ca received=true reason="the peer sent unknown_ca"
}

// TestLevels: what is below the level costs no record.
func TestLevels(t *testing.T) {
	for level, want := range map[slog.Level]int{slog.LevelDebug: 4, slog.LevelInfo: 3, slog.LevelWarn: 1, slog.LevelError: 0} {
		var out bytes.Buffer
		tell := tracelog.New(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level})))
		for _, d := range []trace.Data{&trace.Record{Type: "ack"}, &trace.Completed{}, &trace.Failed{}, &trace.End{}} {
			tell(trace.Event{Time: now, Data: d})
		}
		if n := strings.Count(out.String(), "\n"); n != want {
			t.Errorf("%v: %d lines, want %d", level, n, want)
		}
	}
}

// TestAttributes: text of a peer is on one line, and raw bytes stay out.
func TestAttributes(t *testing.T) {
	var out bytes.Buffer
	tell := tracelog.New(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	tell(trace.Event{Time: now, Conn: 7, Side: trace.Server, Data: &trace.Message{Sent: true, Type: "Finished", Epoch: 2, Length: 36, Raw: trace.Bytes{0xab, 0xcd}, Fields: []trace.Field{{Name: "verify_data"}}}})
	tell(trace.Event{Time: now, Data: &trace.Path{Change: "local_cid", ConnectionID: trace.Bytes{0xab}}})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
		t.Fatal(err)
	}
	if got["msg"] != "message_sent" || got["message_type"] != "Finished" || got["conn"] != 7.0 || got["length"] != 36.0 || len(got) != 8 {
		t.Errorf("got %v", got)
	}
	if strings.Contains(lines[0], "abcd") || !strings.Contains(lines[1], `"connection_id":"ab"`) {
		t.Errorf("got %s", lines)
	}
}

// broken is a handler that fails.
type broken struct{ slog.Handler }

func (broken) Enabled(context.Context, slog.Level) bool  { return true }
func (broken) Handle(context.Context, slog.Record) error { return os.ErrClosed }

// TestBrokenHandler: a log that fails does not stop a connection.
func TestBrokenHandler(t *testing.T) {
	tracelog.New(slog.New(broken{}))(trace.Event{Time: now, Data: &trace.State{State: "started"}})
}
