// Package tracelog writes the events of a trace to a log/slog.Logger.
package tracelog

import (
	"context"
	"log/slog"
	"reflect"
	"strings"

	"github.com/hermetic-tls/hermetic/trace"
)

// New returns a function for Config.Trace that logs each event: its name is the message, and its
// fields are attributes with the names that they have in JSON. The raw bytes and the
// fields of a message are left out.
//
// The end of a handshake and of a connection is at level Info, a failure at Warn, and all else
// at Debug. The time is that of the event.
func New(l *slog.Logger) func(trace.Event) {
	return func(e trace.Event) {
		ctx, level := context.Background(), levelOf(e.Data)
		if !l.Enabled(ctx, level) {
			return
		}
		r := slog.NewRecord(e.Time, level, e.Data.Name(), 0)
		if e.Side != "" {
			r.AddAttrs(slog.Uint64("conn", e.Conn), slog.String("side", string(e.Side)))
		}
		r.AddAttrs(attributes(e.Data)...)
		_ = l.Handler().Handle(ctx, r) // a log that fails has nobody to tell, as in slog
	}
}

func levelOf(d trace.Data) slog.Level {
	switch d.(type) {
	case *trace.Completed, *trace.End:
		return slog.LevelInfo
	case *trace.Failed:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// attributes are the fields of an event that JSON has, apart from those that are zero.
func attributes(d trace.Data) (list []slog.Attr) {
	v := reflect.ValueOf(d).Elem()
	for i := range v.NumField() {
		name, option, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		switch {
		case name == "-", name == "raw", name == "fields", option != "" && v.Field(i).IsZero():
		default:
			list = append(list, slog.Any(name, v.Field(i).Interface()))
		}
	}
	return list
}
