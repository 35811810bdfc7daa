package mbedtls

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/hermetic-tls/hermetic"
)

// BenchmarkRecords is a write and a read, as the C module drives them: one step each.
func BenchmarkRecords(b *testing.B) {
	for _, size := range []int{64, 1024, maxData} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			config := &hermetic.Config{InsecureSkipVerify: true}
			client, server := newDriversOf(b, 1, 0, config, config)
			shake(b, client, server)
			data := bytes.Repeat([]byte("x"), size)
			write := Step{Op: Write, Begin: true, Data: data, In: client.inRoom[:], Out: client.room[:]}
			read := Step{Op: Read, Size: maxData, In: server.inRoom[:], Out: server.room[:]}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				client.Step(&write)
				read.Head, read.Body = copy(read.In, write.Output[:5]), write.Output[5:]
				if server.Step(&read); read.N != size {
					b.Fatal(read.Status, read.Text)
				}
			}
		})
	}
}
